import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { joinWalSegment } from "../../src/postgres/wal-chain.ts";
import type { WalChain } from "../../src/postgres/wal-chain.ts";
import { checkWalSegment } from "../../src/postgres/wal-records.ts";
import type { WalFault, WalSegmentCheck, WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";
import { WalBuilder } from "./wal-builder.ts";
import type { WalBuilderOptions } from "./wal-builder.ts";

/** Records of 50 to 500 bytes, until one begins in the next segment. */
function ordinaryWal(options: WalBuilderOptions = {}): WalBuilder {
  const wal = new WalBuilder(options);
  fill(wal, wal.start + BigInt(wal.segmentSize));
  return wal;
}

function fill(wal: WalBuilder, until: bigint): void {
  for (let number = 0; wal.position < until; number++) wal.addData(Buffer.alloc(24 + ((number * 31) % 450), number));
}

/** A short segment: one record, and then the end of WAL. */
function shortWal(): WalBuilder {
  const wal = new WalBuilder();
  wal.addData(Buffer.alloc(100));
  return wal;
}

function check(input: WalSegmentInput, wholeUntil?: WalSegmentInput["wholeUntil"]): WalSegmentCheck {
  return checkWalSegment({ ...input, wholeUntil });
}

/** Checks each segment by itself, as worker threads would, and joins them all. */
function checkAll(segments: readonly WalSegmentInput[]): { checks: WalSegmentCheck[]; faults: WalFault[] } {
  const checks = segments.map((input) => structuredClone(checkWalSegment(input)));
  const faults: WalFault[] = [];
  let chain: WalChain | undefined;
  for (const one of checks) {
    const joined = joinWalSegment(chain, one);
    chain = joined.chain;
    for (const fault of [one.fault, joined.fault]) if (fault !== undefined) faults.push(fault);
  }
  return { checks, faults };
}

/** 64 bytes of WAL. */
function twoRecords(wal: WalBuilder): void {
  wal.add(Buffer.alloc(16));
  wal.add(Buffer.alloc(0));
}

function flip(bytes: Uint8Array, at: number, bits: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ bits;
}

describe("a WAL segment by itself", () => {
  test("is full when records reach its end, each of them checked", () => {
    const wal = ordinaryWal();
    const result = check(wal.segment(0));
    expect(result).toMatchObject({ outcome: "full", fault: undefined, head: undefined, start: wal.start });
    expect(result.firstRecord).toEqual({ lsn: wal.start + 40n, previous: wal.start - 64n });
    const inside = wal.records.filter(({ lsn: at, bytes }) => at + BigInt(bytes.length) <= result.end);
    expect(result.records).toBe(inside.length);
    expect(result.lastRecord).toBe(inside.at(-1)?.lsn);
  });

  test.each([1024, 4096, 65536])("is read with pages of %d bytes", (blockSize) => {
    const wal = new WalBuilder({ blockSize, segmentSize: 2 << 20 });
    while (wal.records.length < 3000) wal.addData(Buffer.alloc(300, 1));
    expect(check(wal.segment(0), wal.position)).toMatchObject({ outcome: "ended", records: 3000 });
  });

  test("is read wherever it lies in memory", () => {
    const { name, bytes } = ordinaryWal().segment(0);
    const shifted = Buffer.concat([Buffer.alloc(1), bytes]).subarray(1);
    expect(check({ name, bytes: shifted }).outcome).toBe("full");
  });

  test("leaves nothing of its memory in the result", () => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(8);
    wal.addData(Buffer.alloc(100));
    fill(wal, wal.start + BigInt(3 << 20));
    const { head, tail } = check(wal.segment(1));
    expect(head?.first.buffer.byteLength).toBe(16);
    expect(tail?.header.buffer.byteLength).toBeLessThanOrEqual(24);
  });

  test("counts as switched when a switch leaves its rest unused, whatever is in it", () => {
    const wal = shortWal();
    wal.switchSegment();
    const input = wal.segment(0);
    input.bytes.fill(0xee, 500);
    expect(check(input)).toMatchObject({ outcome: "switched", records: 2, tail: undefined });
  });

  test("is damaged when WAL ends in it, and has ended where it may", () => {
    const wal = shortWal();
    const at = wal.position;
    const input = wal.segment(0);
    expect(check(input)).toMatchObject({ outcome: "damaged", validUntil: at, fault: { kind: "end", record: at } });
    expect(check(input, "unknown")).toMatchObject({ outcome: "ended", validUntil: at, fault: undefined });
    expect(check(input, at).outcome).toBe("ended");
    expect(check(input, lsn(at + 8n)).outcome).toBe("damaged");
    wal.add(Buffer.alloc(8192 - Number(at - wal.start) - 24));
    const nextPage = { kind: "end", position: wal.start + 8192n, record: undefined };
    expect(check(wal.segment(0))).toMatchObject({ outcome: "damaged", fault: nextPage });
  });

  test("may end anywhere when it is a partial one", () => {
    const { name, bytes } = shortWal().segment(0);
    const partial = { ...name, kind: "partial" as const, name: `${name.name}.partial` };
    expect(check({ name: partial, bytes })).toMatchObject({ outcome: "ended", name: partial.name });
  });

  test("may end in the middle of a record, before what an earlier use of the file left behind", () => {
    const wal = shortWal();
    const torn = wal.addData(Buffer.alloc(20_000, 7));
    const input = wal.segment(0);
    input.bytes.set(ordinaryWal({ firstSegment: 2 }).segment(0).bytes.subarray(8192), 8192);
    expect(check(input, "unknown")).toMatchObject({ outcome: "ended", validUntil: torn });
    expect(check(input)).toMatchObject({ outcome: "damaged", fault: { kind: "page", record: torn } });
  });

  test("has to hold every record that begins before the point up to which it has to be whole", () => {
    const wal = shortWal();
    const torn = wal.addData(Buffer.alloc(20_000, 7));
    const input = wal.segment(0);
    input.bytes.fill(0, 8192);
    expect(check(input, lsn(torn)).outcome).toBe("ended");
    expect(check(input, lsn(torn + 8n))).toMatchObject({ outcome: "damaged", fault: { record: torn } });
  });

  test("has to hold the rest of a record that began before it, if anything", () => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(64);
    wal.addData(Buffer.alloc(20_000, 7));
    const input = wal.segment(1);
    input.bytes.fill(0, 8192);
    const { start } = check(input);
    expect(check(input, "unknown").outcome).toBe("ended");
    expect(check(input, start)).toMatchObject({ outcome: "damaged", head: { state: "broken" } });
    expect(check(input, lsn(start - 8n)).outcome).toBe("ended");
  });

  test("is damaged, although it may end anywhere, when its WAL goes on behind what cannot be read", () => {
    const input = ordinaryWal().segment(0);
    input.bytes.fill(0, 8192 + 100, 8192 + 300);
    const result = check(input, "unknown");
    expect(result).toMatchObject({ outcome: "damaged" });
    expect(check(input, result.fault?.record).outcome).toBe("ended");
  });
});

describe("damage in a WAL segment", () => {
  /** the third record, in the middle of the first page */
  const wal = ordinaryWal();
  const record = Number((wal.records[2]?.lsn ?? 0n) - wal.start);

  test.each<[string, WalFault["kind"], (bytes: Buffer) => void]>([
    ["a flipped bit in a record", "checksum", (bytes) => flip(bytes, record + 40, 1)],
    ["a flipped bit in a record's transaction", "checksum", (bytes) => flip(bytes, record + 4, 1)],
    ["another predecessor", "previous", (bytes) => flip(bytes, record + 8, 8)],
    ["a resource manager that there is not", "resource-manager", (bytes) => (bytes[record + 17] = 99)],
    ["a record shorter than a header", "length", (bytes) => bytes.writeUInt32LE(23, record)],
    ["a record longer than any", "length", (bytes) => bytes.writeUInt32LE(0xffffff00, record)],
    ["a length of zero, with WAL behind it", "length", (bytes) => bytes.writeUInt32LE(0, record)],
    ["a record that swallows those behind it", "continuation", (bytes) => bytes.writeUInt32LE(100_000, record)],
    ["a page that does not continue its record", "continuation", (bytes) => flip(bytes, 8192 + 2, 1)],
    ["a page that both continues and overwrites", "continuation", (bytes) => flip(bytes, 8192 + 2, 8)],
    ["a page that lacks other bytes", "continuation", (bytes) => flip(bytes, 8192 + 16, 1)],
    ["a page of another place", "page", (bytes) => flip(bytes, 8192 + 9, 0x20)],
    ["a page of another version", "page", (bytes) => bytes.writeUInt16LE(0xd116, 8192)],
    ["a page of a later timeline", "page", (bytes) => (bytes[8192 + 4] = 2)],
    ["a page of timeline 0", "page", (bytes) => (bytes[8192 + 4] = 0)],
    ["a page with unknown flags", "page", (bytes) => flip(bytes, 8192 + 2, 0x40)],
    ["a long header on a later page", "page", (bytes) => flip(bytes, 8192 + 2, 2)],
    ["an empty page", "page", (bytes) => bytes.fill(0, 8192, 16384)],
    ["another segment's bytes", "segment", (bytes) => flip(bytes, 10, 0x10)],
    ["no WAL at all", "segment", (bytes) => bytes.fill(0x20)],
    ["WAL of a version that is not known", "segment", (bytes) => bytes.writeUInt16LE(0xd1ff, 0)],
  ])("%s is found, and where", (_, kind, damage) => {
    const { name, bytes } = wal.segment(0);
    const copy = Buffer.from(bytes);
    damage(copy);
    const { outcome, fault, validUntil } = check({ name, bytes: copy });
    expect(outcome).toBe("damaged");
    expect(fault).toMatchObject({ kind });
    expect(fault?.reason).toMatch(/0\/50|segment|version/);
    const place = { page: 8192, continuation: 8192, segment: 0 }[kind as string] ?? record;
    expect(fault?.position).toBe(wal.start + BigInt(place));
    expect(fault?.record ?? fault?.position).toBe(validUntil);
  });

  test("a page that continues a record although none is left open is found", () => {
    const short = new WalBuilder();
    short.add(Buffer.alloc(8192 - 40 - 24));
    short.addData(Buffer.alloc(100));
    const input = short.segment(0);
    flip(input.bytes, 8192 + 2, 1);
    expect(check(input).fault).toMatchObject({
      kind: "continuation",
      record: undefined,
      position: short.start + 8192n,
    });
  });

  test("a file of another size is found", () => {
    const { name, bytes } = wal.segment(0);
    expect(check({ name, bytes: bytes.subarray(0, 8192) }).fault?.kind).toBe("segment");
    expect(check({ name, bytes: Buffer.alloc(0) }).fault?.kind).toBe("segment");
  });

  test("a segment of another cluster is found", () => {
    const identity = { majorVersion: 18, systemIdentifier: 42n };
    const { fault } = checkWalSegment({ ...wal.segment(0), identity });
    expect(fault).toMatchObject({ kind: "segment", position: wal.start });
    expect(fault?.reason).toContain("18-42");
  });
});

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

describe("any WAL", () => {
  const factors = fc.oneof(
    { weight: 40, arbitrary: fc.constant(1) },
    { weight: 10, arbitrary: fc.constant(30) },
    fc.constant(5000),
  );
  const records = fc.array(fc.tuple(fc.nat(300), factors), { minLength: 100, maxLength: 200 });
  const blockSizes = fc.constantFrom(1024, 8192);

  function walOf(lengths: readonly (readonly [number, number])[], blockSize: number): WalBuilder {
    const wal = new WalBuilder({ blockSize });
    for (const [length, factor] of lengths) wal.add(Buffer.alloc(length * factor, length));
    wal.switchSegment();
    return wal;
  }

  test("holds, and every record of it is counted", () => {
    fc.assert(
      fc.property(records, blockSizes, (lengths, blockSize) => {
        const wal = walOf(lengths, blockSize);
        const { checks, faults } = checkAll(wal.segments());
        expect(faults).toEqual([]);
        const crossing = checks.filter(({ head }) => head?.state === "complete").length;
        expect(checks.reduce((sum, one) => sum + one.records, crossing)).toBe(wal.records.length);
      }),
      { numRuns: 20 },
    );
  });

  test("shows any flipped bit of a record", () => {
    const wal = walOf(
      Array.from({ length: 400 }, (_, index) => [index % 301, index % 50 === 7 ? 3000 : 1]),
      8192,
    );
    const clean = wal.segments().map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes) }));
    fc.assert(
      fc.property(fc.nat(wal.records.length - 1), fc.nat(), fc.nat(7), (index, within, bit) => {
        const record = wal.records[index];
        if (record === undefined) throw new Error("no such record");
        const place = placeOf(wal, Number(record.lsn - wal.start), within % record.bytes.length);
        const target = clean[Math.floor(place / wal.segmentSize)]?.bytes ?? Buffer.alloc(0);
        const at = place % wal.segmentSize;
        flip(target, at, 1 << bit);
        const { faults } = checkAll(clean);
        flip(target, at, 1 << bit);
        expect(faults.length).toBeGreaterThan(0);
        // a damaged length may first show where the record seems to go on
        expect(faults[0]?.record).toBe(record.lsn);
      }),
      { numRuns: 100 },
    );
    expect(checkAll(clean).faults).toEqual([]);
  });

  test("can be anything at all, and reading it comes to an end with a verdict", () => {
    const wal = walOf(
      Array.from({ length: 600 }, (_, index) => [index % 301, index % 10 === 7 ? 150 : 1]),
      1024,
    );
    const { name, bytes } = wal.segment(0);
    const garbage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.uint8Array({ minLength: 1, maxLength: 64 })), {
      minLength: 1,
      maxLength: 30,
    });
    const ends = fc.constantFrom<WalSegmentInput["wholeUntil"]>(undefined, "unknown", lsn(wal.start + 500_000n));
    fc.assert(
      fc.property(garbage, fc.boolean(), ends, (pieces, everywhere, wholeUntil) => {
        const copy = Buffer.from(bytes);
        for (const [at, piece] of pieces) copy.set(piece.subarray(0, copy.length - at), at);
        if (everywhere) for (let at = 40 + ((pieces[0]?.[0] ?? 0) % 97); at < copy.length; at += 997) copy[at] = at;
        const result = check({ name, bytes: copy }, wholeUntil);
        expect(result.outcome === "damaged").toBe(result.fault !== undefined);
        expect(result.validUntil).toBeGreaterThanOrEqual(result.start);
        expect(result.validUntil).toBeLessThanOrEqual(result.end);
        joinWalSegment(joinWalSegment(undefined, result).chain, check(wal.segment(1)));
      }),
      { numRuns: 100 },
    );
  });
});

/** Where the byte `within` a record lies that begins at `begin`, over page headers. */
function placeOf(wal: WalBuilder, begin: number, within: number): number {
  let at = begin;
  for (let left = within; ;) {
    const room = wal.blockSize - (at % wal.blockSize);
    if (left < room) return at + left;
    left -= room;
    at += room;
    at += at % wal.segmentSize === 0 ? 40 : 24;
  }
}
