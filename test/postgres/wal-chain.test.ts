import { describe, expect, test } from "vitest";
import type { WalFault } from "../../src/postgres/wal-segment-check.ts";
import { WalBuilder } from "./wal-builder.ts";
import { check, checkAll, fill, ordinaryWal } from "./wal-records-fixture.ts";

/** 64 bytes of WAL. */
function twoRecords(wal: WalBuilder): void {
  wal.add(Buffer.alloc(16));
  wal.add(Buffer.alloc(0));
}

describe("segments that follow one another", () => {
  test("hold with records that cross from one into the next, over more than a whole segment too", () => {
    const wal = new WalBuilder();
    for (let round = 0; round < 4; round++) {
      fill(wal, wal.position + 700_000n);
      wal.addData(Buffer.alloc(round * 900_000, round));
    }
    wal.switchSegment();
    const { checks, faults } = checkAll(wal.segments());
    expect(faults).toEqual([]);
    expect(checks.some(({ head, records }) => head?.state === "continues" && records === 0)).toBe(true);
    const crossing = checks.filter(({ head }) => head?.state === "complete").length;
    expect(checks.reduce((sum, { records }) => sum + records, crossing)).toBe(wal.records.length);
  });

  test.each([8, 16, 24, 64])("hold when a record begins with the last %d bytes of a segment", (left) => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(left);
    wal.addData(Buffer.alloc(100, 3));
    wal.addData(Buffer.alloc(100, 4));
    wal.switchSegment();
    expect(checkAll(wal.segments())).toMatchObject({
      faults: [],
      checks: [{ outcome: "full" }, { outcome: "switched" }],
    });
    const { name, bytes } = wal.segment(1);
    // in the record that crosses: in its header if that is cut, else behind it
    const damaged = Buffer.from(bytes);
    damaged[40 + 20] = 0x77;
    const { faults } = checkAll([wal.segment(0), { name, bytes: damaged }]);
    expect(faults).toMatchObject([{ kind: "checksum", record: wal.records[1]?.lsn }]);
  });

  test.each([0, 8, 16, 24])("hold when a switch has the last %d bytes of a segment", (left) => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(left);
    wal.switchSegment();
    wal.addData(Buffer.alloc(100, 3));
    wal.switchSegment();
    const { checks, faults } = checkAll(wal.segments());
    expect(faults).toEqual([]);
    expect(checks.at(-1)?.outcome).toBe("switched");
    expect(checks).toHaveLength(left === 24 ? 2 : 3);
  });

  test("do not hold when what looks like the end of a switch is none", () => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(24);
    // eight bytes of a body that look like the end of a header
    wal.add(Buffer.from([0x40, 0, 0, 0, 1, 2, 3, 4]));
    const { checks, faults } = checkAll(wal.segments());
    expect(checks[1]).toMatchObject({ outcome: "switched", faultUnlessSwitch: { kind: "end" } });
    expect(faults).toMatchObject([{ kind: "end" }]);
  });

  test("hold when a crash lost the rest of a record, and another was written over it", () => {
    const wal = new WalBuilder();
    fill(wal, wal.position + 50_000n);
    wal.overwrite(Buffer.alloc(40_000, 9));
    fill(wal, wal.position + 50_000n);
    wal.fillUntilLeft(64);
    wal.overwrite(Buffer.alloc(40_000, 9));
    fill(wal, wal.position + 5000n);
    wal.fillUntilLeft(8);
    wal.overwrite(Buffer.alloc(40_000, 9), 3);
    fill(wal, wal.position + 5000n);
    wal.switchSegment();
    const { checks, faults } = checkAll(wal.segments());
    expect(faults).toEqual([]);
    expect(checks).toMatchObject([
      { outcome: "full" },
      { outcome: "full", overwrites: true },
      { outcome: "switched", head: { state: "overwritten" } },
    ]);
    expect(checks.reduce((sum, { records }) => sum + records, 0)).toBe(wal.records.length);
  });

  test("hold on both timelines when one leaves the other in the middle of a segment", () => {
    const old = new WalBuilder();
    fill(old, old.position + 1_500_000n);
    const switchPoint = old.position;
    const young = old.fork(2);
    old.addData(Buffer.alloc(3000, 1));
    fill(young, young.position + 1_500_000n);
    young.switchSegment();
    const [first, ...rest] = young.segments();
    // what the old timeline left behind is not looked at
    const last = old.segment(1);
    last.bytes.fill(0xee, Number(switchPoint - old.start) % old.segmentSize, last.bytes.length);
    expect(checkAll([old.segment(0), { ...last, wholeUntil: switchPoint }])).toMatchObject({
      faults: [],
      checks: [{ outcome: "full" }, { outcome: "ended" }],
    });
    expect(first).toBeDefined();
    const { checks, faults } = checkAll([old.segment(0), ...rest]);
    expect(faults).toEqual([]);
    expect(checks[1]).toMatchObject({ firstTimeline: 1, lastTimeline: 2 });
  });

  test("do not hold when one of them is of another history", () => {
    const ours = ordinaryWal();
    const theirs = new WalBuilder();
    theirs.addData(Buffer.alloc(5000));
    fill(theirs, theirs.position + 1_500_000n);
    theirs.switchSegment();
    fill(ours, ours.position + 500_000n);
    ours.switchSegment();
    expect(checkAll(ours.segments()).faults).toEqual([]);
    expect(checkAll([ours.segment(0), theirs.segment(1)]).faults).toHaveLength(1);
    expect(checkAll([theirs.segment(0), ours.segment(1)]).faults).toHaveLength(1);
  });

  test.each<[string, WalFault["kind"], (wal: WalBuilder) => void, (wal: WalBuilder) => void, bigint]>([
    [
      "a record that is not continued",
      "continuation",
      (wal) => wal.addData(Buffer.alloc(3000)),
      (wal) => wal.fillUntilLeft(0),
      0n,
    ],
    [
      "the rest of no record",
      "continuation",
      (wal) => wal.fillUntilLeft(0),
      (wal) => wal.addData(Buffer.alloc(3000)),
      0n,
    ],
    [
      "the rest of a longer record",
      "continuation",
      (wal) => wal.addData(Buffer.alloc(3000)),
      (wal) => wal.addData(Buffer.alloc(4000)),
      0n,
    ],
    ["another predecessor", "previous", (wal) => wal.fillUntilLeft(0), twoRecords, 40n],
  ])("do not hold with %s", (_, kind, end, otherEnd, seen) => {
    const [one, other] = [end, otherEnd].map((finish) => {
      const wal = new WalBuilder();
      wal.fillUntilLeft(64);
      finish(wal);
      wal.addData(Buffer.alloc(100));
      wal.switchSegment();
      return wal;
    });
    const { faults } = checkAll([one, other].flatMap((wal, index) => (wal === undefined ? [] : [wal.segment(index)])));
    // seen at the second segment's first page, or at its first record
    expect(faults).toMatchObject([{ kind, position: (one?.start ?? 0n) + BigInt(1 << 20) + seen }]);
  });

  test("do not hold when the later one is of an earlier timeline", () => {
    const wal = ordinaryWal({ timeline: 2 });
    wal.switchSegment();
    const later = wal.segment(1);
    for (let page = 0; page < later.bytes.length; page += 8192) later.bytes[page + 4] = 1;
    expect(check(later).outcome).toBe("switched");
    expect(checkAll(wal.segments()).faults).toMatchObject([{ kind: "page", position: wal.start + BigInt(1 << 20) }]);
  });

  test("do not hold when the record that crosses from one into the next names another predecessor", () => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(8);
    const crossing = wal.addData(Buffer.alloc(100), { previous: wal.start });
    wal.switchSegment();
    expect(checkAll(wal.segments()).faults).toMatchObject([{ kind: "previous", record: crossing }]);
  });

  test("are not held against each other across a gap, nor across damage", () => {
    const wal = new WalBuilder();
    fill(wal, wal.position + 3_500_000n);
    const segments = wal.segments();
    expect(checkAll([wal.segment(0), wal.segment(2)]).faults).toEqual([]);
    wal.segment(1).bytes.fill(0, 100_000, 100_100);
    expect(checkAll(segments.slice(0, 3)).faults).toHaveLength(1);
  });
});
