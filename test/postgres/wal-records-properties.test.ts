import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { joinWalSegment } from "../../src/postgres/wal-chain.ts";
import type { WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";
import { WalBuilder } from "./wal-builder.ts";
import { check, checkAll, flip } from "./wal-records-fixture.ts";

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
