import { formatLsn, lsn } from "../../../src/postgres/lsn.ts";
import { generateKeyPair } from "../../../src/repository/keys.ts";
import { flipBit } from "../helpers/damage.ts";
import { changeText } from "./fault-case.ts";
import type { FaultCase } from "./fault-case.ts";

export const walFaults: readonly FaultCase[] = [
  {
    title: "a segment that is missing, the first one that a backup needs",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.wal(at.beginning)),
    faults: (spoiled, at) => [["missing", spoiled.wal(at.beginning)]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "a segment that is missing in the middle",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.wal(at.middle)),
    faults: (spoiled, at) => [["missing", spoiled.wal(at.middle)]],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "a segment that is missing at the end of a timeline that another one goes on from",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.wal(at.end1)),
    faults: (spoiled, at) => [["missing", spoiled.wal(at.end1)]],
    lost: (at) => at.from(at.end1),
  },
  {
    title: "a segment that is missing where a timeline begins",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.wal(at.fork)),
    faults: (spoiled, at) => [["missing", spoiled.wal(at.fork)]],
    lost: (at) => at.loss([], [[2, at.startOf(at.fork), at.newer.stopLsn - 1n]]),
  },
  {
    title: "a segment that is missing, the one that the newest backup ends in",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.wal(at.ofNewer)),
    faults: (spoiled, at) => [["missing", spoiled.wal(at.ofNewer)]],
    lost: (at) => at.loss(["newer"], [[2, at.startOf(at.ofNewer), at.lastByteOf(at.end2)]]),
  },
  {
    title: "a hole of several segments",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.wal(at.middle), spoiled.wal(at.next), spoiled.wal(at.end1)),
    faults: (spoiled, at) => [["missing", spoiled.wal(at.middle)]],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "a segment without any bytes",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.put(spoiled.wal(at.middle), ""),
    faults: (spoiled, at) => [["wrong-size", spoiled.wal(at.middle)]],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "a segment in the folder of another log",
    depth: "listed",
    spoil: async (spoiled, at) => {
      const key = spoiled.wal(at.middle);
      await spoiled.put(key.replace(/\/[0-9A-F]{8}\/(?=[0-9A-F]{24})/, "/000000AA/"), await spoiled.get(key));
      await spoiled.remove(key);
    },
    faults: (spoiled, at) => [
      ["foreign", spoiled.wal(at.middle).replace(/\/[0-9A-F]{8}\/(?=[0-9A-F]{24})/, "/000000AA/")],
      ["missing", spoiled.wal(at.middle)],
    ],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "objects that nobody has use for",
    depth: "listed",
    spoil: async (spoiled, at) => {
      await spoiled.put("main/notes.txt", "?");
      await spoiled.put(spoiled.key("wal/00000001/core"), "?");
      await spoiled.put(spoiled.of(at.older, "data/000099.tar.zst.age"), "?");
      await spoiled.put(spoiled.key("backups/latest/backup.json"), "?");
    },
    faults: (spoiled, at) => [
      ["foreign", "main/notes.txt"],
      ["foreign", spoiled.of(at.older, "data/000099.tar.zst.age")],
      ["foreign", spoiled.key("backups/latest/")],
      ["foreign", spoiled.key("wal/00000001/core")],
    ],
    lost: (at) => at.nothing(),
  },
  {
    title: "a flipped bit in a segment's head",
    depth: "read",
    spoil: (spoiled, at) =>
      spoiled.change(spoiled.wal(at.middle), (bytes) => changeText(bytes, /blake3=[0-9a-f]/, "blake3=x")),
    faults: (spoiled, at) => [["damaged", spoiled.wal(at.middle)]],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "a flipped bit in a segment's body",
    depth: "read",
    spoil: (spoiled, at) => spoiled.change(spoiled.wal(at.end1), (bytes) => flipBit(bytes.length - 30, 5)(bytes)),
    faults: (spoiled, at) => [["damaged", spoiled.wal(at.end1)]],
    lost: (at) => at.from(at.end1),
  },
  {
    title: "a segment that is cut short",
    depth: "read",
    spoil: (spoiled, at) => spoiled.change(spoiled.wal(at.middle), (bytes) => bytes.subarray(0, bytes.length - 1)),
    faults: (spoiled, at) => [["damaged", spoiled.wal(at.middle)]],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "segments that changed places",
    depth: "read",
    spoil: (spoiled, at) => spoiled.swap(spoiled.wal(at.middle), spoiled.wal(at.next)),
    faults: (spoiled, at) => [
      ["misplaced", spoiled.wal(at.middle)],
      ["misplaced", spoiled.wal(at.next)],
    ],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "a segment of another cluster",
    depth: "read",
    spoil: (spoiled, at) =>
      spoiled.resealWal(at.next, (plain) => {
        plain.writeBigUInt64LE(plain.readBigUInt64LE(24) + 1n, 24);
        return plain;
      }),
    faults: (spoiled, at) => [["misplaced", spoiled.wal(at.next)]],
    lost: (at) => at.from(at.next),
  },
  {
    title: "a segment that is encrypted to another key",
    depth: "read",
    spoil: async (spoiled, at) => {
      const { recipient } = await generateKeyPair();
      await spoiled.resealWal(at.next, (plain) => plain, [recipient]);
    },
    faults: (spoiled, at) => [["wrong-key", spoiled.wal(at.next)]],
    lost: (at) => at.from(at.next),
  },
  {
    title: "a WAL record with a wrong CRC in a segment whose digest holds",
    depth: "read",
    spoil: (spoiled, at) => spoiled.resealWal(at.middle, (plain) => flipBit(100, 2)(plain)),
    faults: (spoiled, at) => [["bad-record", spoiled.wal(at.middle)]],
    lost: (at) => at.from(at.middle),
  },
  {
    title: "a segment that may not be read",
    depth: "read",
    spoil: (spoiled, at) => spoiled.forbid(spoiled.wal(at.end1)),
    faults: (spoiled, at) => [["unreadable", spoiled.wal(at.end1)]],
    lost: (at) => at.from(at.end1),
  },
  {
    title: "a flipped bit in a timeline's history",
    depth: "listed",
    spoil: (spoiled) =>
      spoiled.change(spoiled.wal("00000002.history"), (bytes) => flipBit(bytes.length - 20, 1)(bytes)),
    faults: (spoiled) => [["damaged", spoiled.wal("00000002.history")]],
    lost: (at) => at.wayTo2(),
  },
  {
    title: "a timeline's history that is missing",
    depth: "listed",
    spoil: (spoiled) => spoiled.remove(spoiled.wal("00000002.history")),
    faults: (spoiled) => [["missing", spoiled.wal("00000002.history")]],
    lost: (at) => at.wayTo2(),
  },
  {
    title: "a history that has its timeline fork too late",
    depth: "listed",
    spoil: (spoiled, at) =>
      spoiled.resealWal("00000002.history", () =>
        Buffer.from(`1\t${formatLsn(lsn(at.lastByteOf(at.end2)))}\tno reason\n`),
      ),
    faults: (spoiled) => [["contradiction", spoiled.wal("00000002.history")]],
    lost: (at) => at.wayTo2(),
  },
  {
    title: "a history that has its timeline fork some pages too early, in the right segment",
    depth: "read",
    spoil: (spoiled, at) =>
      spoiled.resealWal("00000002.history", () =>
        Buffer.from(`1\t${formatLsn(lsn(at.startOf(at.fork) + 0x28n))}\tno reason\n`),
      ),
    faults: (spoiled) => [["contradiction", spoiled.wal("00000002.history")]],
    lost: (at) => at.wayTo2(),
  },
];
