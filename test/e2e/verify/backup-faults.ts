import { crc32c } from "@node-rs/crc32";
import { lsn } from "../../../src/postgres/lsn.ts";
import { generateKeyPair } from "../../../src/repository/keys.ts";
import type { FileLine, ManifestLine } from "../../../src/repository/manifest.ts";
import { flipBit } from "../helpers/damage.ts";
import { changeText } from "./fault-case.ts";
import type { FaultCase } from "./fault-case.ts";

const manifest = "manifest.jsonl.zst.age";

/** A file of a relation in a pack, larger than `size`. */
function relationIn(lines: readonly ManifestLine[], pack: string, size: number): FileLine {
  const number = lines.find((line) => line.type === "pack" && line.name === pack);
  const found = lines.find(
    (line): line is FileLine =>
      line.type === "file" &&
      /^base\/\d+\/\d+$/.test(line.path) &&
      line.size >= size &&
      number?.type === "pack" &&
      line.extents[0]?.pack === number.pack,
  );
  if (found === undefined) throw new Error("there is no such file in the pack");
  return found;
}

export const backupFaults: readonly FaultCase[] = [
  {
    title: "a flipped bit in a manifest",
    depth: "listed",
    spoil: (spoiled, at) =>
      spoiled.change(spoiled.of(at.newer, manifest), (bytes) => flipBit(bytes.length - 900, 3)(bytes)),
    faults: (spoiled, at) => [["damaged", spoiled.of(at.newer, manifest)]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a manifest that is missing",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.remove(spoiled.of(at.older, manifest)),
    faults: (spoiled, at) => [["missing", spoiled.of(at.older, manifest)]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "a manifest of another backup",
    depth: "listed",
    spoil: async (spoiled, at) =>
      spoiled.put(spoiled.of(at.newer, manifest), await spoiled.get(spoiled.of(at.older, manifest))),
    faults: (spoiled, at) => [["wrong-size", spoiled.of(at.newer, manifest)]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a changed digit in backup.json",
    depth: "listed",
    spoil: (spoiled, at) =>
      spoiled.change(spoiled.of(at.older, "backup.json"), (bytes) => changeText(bytes, /"files": \d/, '"files": 7')),
    faults: (spoiled, at) => [["damaged", spoiled.of(at.older, "backup.json")]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "the backup.json of another backup",
    depth: "listed",
    spoil: async (spoiled, at) =>
      spoiled.put(spoiled.of(at.newer, "backup.json"), await spoiled.get(spoiled.of(at.older, "backup.json"))),
    faults: (spoiled, at) => [["misplaced", spoiled.of(at.newer, "backup.json")]],
    lost: (at) => at.nothing(),
  },
  {
    title: "a backup.json that somebody edited and gave a right digest: where the backup ends",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.rewriteRecord(at.newer, { stopLsn: lsn(at.newer.startLsn + 8n) }),
    faults: (spoiled, at) => [["contradiction", spoiled.of(at.newer, "backup.json")]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a backup.json that somebody edited and gave a right digest: how much there is",
    depth: "listed",
    spoil: (spoiled, at) => spoiled.rewriteRecord(at.newer, { files: at.newer.files - 1 }),
    faults: (spoiled, at) => [["contradiction", spoiled.of(at.newer, "backup.json")]],
    lost: (at) => at.newerBackup(),
  },
  {
    title:
      "a backup.json that somebody edited and gave a right digest: where it begins, no file of the server's telling",
    depth: "read",
    spoil: async (spoiled, at) => {
      const told = at.wal.filter((name) => name.endsWith(".backup")).map((name) => spoiled.wal(name));
      await spoiled.remove(...told);
      await spoiled.rewriteRecord(at.older, { startLsn: lsn(at.older.startLsn + 8n) });
    },
    faults: (spoiled, at) => [["contradiction", spoiled.of(at.older, at.lastPackOfOlder)]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "a pack that is cut short",
    depth: "listed",
    spoil: async (spoiled, at) => {
      const pack = spoiled.of(at.newer, at.packOfNewer);
      await spoiled.change(pack, (bytes) => bytes.subarray(0, bytes.length >> 1));
    },
    faults: (spoiled, at) => [["wrong-size", spoiled.of(at.newer, at.packOfNewer)]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a pack with bytes behind its end",
    depth: "listed",
    spoil: async (spoiled, at) => {
      const pack = spoiled.of(at.older, at.packOfOlder);
      await spoiled.change(pack, (bytes) => Buffer.concat([bytes, Buffer.alloc(10)]));
    },
    faults: (spoiled, at) => [["wrong-size", spoiled.of(at.older, at.packOfOlder)]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "a pack that is missing",
    depth: "listed",
    spoil: async (spoiled, at) => spoiled.remove(spoiled.of(at.older, at.packOfOlder)),
    faults: (spoiled, at) => [["missing", spoiled.of(at.older, at.packOfOlder)]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "packs of two backups that changed places",
    depth: "listed",
    spoil: async (spoiled, at) =>
      spoiled.swap(spoiled.of(at.older, at.packOfOlder), spoiled.of(at.newer, at.packOfNewer)),
    faults: (spoiled, at) => [
      ["wrong-size", spoiled.of(at.newer, at.packOfNewer)],
      ["wrong-size", spoiled.of(at.older, at.packOfOlder)],
    ],
    lost: (at) =>
      at.loss(
        ["older", "newer"],
        [
          [1, at.older.stopLsn, at.lastByteOf(at.end1)],
          [2, at.older.stopLsn, at.lastByteOf(at.end2)],
        ],
      ),
  },
  {
    title: "a flipped bit in a pack",
    depth: "read",
    spoil: async (spoiled, at) =>
      spoiled.change(spoiled.of(at.newer, at.packOfNewer), (bytes) => flipBit(bytes.length >> 1, 0)(bytes)),
    faults: (spoiled, at) => [["damaged", spoiled.of(at.newer, at.packOfNewer)]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a pack of the right size that is another one",
    depth: "read",
    spoil: async (spoiled, at) => {
      const other = await spoiled.get(spoiled.of(at.older, at.packOfOlder));
      await spoiled.change(spoiled.of(at.newer, at.packOfNewer), (bytes) =>
        Buffer.concat([other, Buffer.alloc(bytes.length)]).subarray(0, bytes.length),
      );
    },
    faults: (spoiled, at) => [["damaged", spoiled.of(at.newer, at.packOfNewer)]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a page with a wrong checksum in a pack all of whose digests hold",
    depth: "read",
    spoil: async (spoiled, at) => {
      const pack = at.packOfOlder;
      await spoiled.repack(at.older, pack, (tar, lines) => {
        const file = relationIn(lines, pack, 3 * 8192);
        const offset = file.extents[0]?.offset ?? 0;
        flipBit(offset + 2 * 8192 + 4000, 1)(tar);
        const crc = crc32c(tar.subarray(offset, offset + file.size))
          .toString(16)
          .padStart(8, "0");
        lines[lines.indexOf(file)] = { ...file, crc32c: crc };
      });
    },
    faults: (spoiled, at) => [["bad-page", spoiled.of(at.older, at.packOfOlder)]],
    lost: (at) => at.olderBackup(),
  },
  {
    title: "a file that is not what the manifest says, in a pack that is",
    depth: "read",
    spoil: async (spoiled, at) => {
      const pack = at.packOfNewer;
      await spoiled.repack(at.newer, pack, (tar, lines) => {
        flipBit((relationIn(lines, pack, 8192).extents[0]?.offset ?? 0) + 4000, 1)(tar);
      });
    },
    faults: (spoiled, at) => [["damaged", spoiled.of(at.newer, at.packOfNewer)]],
    lost: (at) => at.newerBackup(),
  },
  {
    title: "a pack that is encrypted to another key",
    depth: "read",
    spoil: async (spoiled, at) => {
      const { recipient } = await generateKeyPair();
      await spoiled.repack(at.newer, at.packOfNewer, () => undefined, [recipient]);
    },
    faults: (spoiled, at) => [["wrong-key", spoiled.of(at.newer, at.packOfNewer)]],
    lost: (at) => at.newerBackup(),
  },
];
