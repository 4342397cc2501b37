import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lsn, parseLsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import {
  isValidSegmentSize,
  lastSegmentNumberBefore,
  parseWalFileName,
  segmentFileName,
  segmentNumber,
  segmentNumberOfLsn,
  segmentStart,
  segmentsPerLog,
} from "../../src/postgres/wal-file-name.ts";
import { thrownBy } from "./errors.ts";

const MIB = 1024 * 1024;
const sizes = [1, 2, 16, 64, 1024].map((size) => size * MIB);

describe("a name in pg_wal", () => {
  test.each([
    ["0000000A000000010000003F", { kind: "segment", timeline: 10, log: 1, segment: 0x3f }],
    ["0000000A000000010000003F.partial", { kind: "partial", timeline: 10, log: 1, segment: 0x3f }],
    ["FFFFFFFF.history", { kind: "history", timeline: 0xffffffff }],
    ["000000010000000000000003.00000028.backup", { kind: "backup", timeline: 1, log: 0, segment: 3, offset: 0x28 }],
  ])("%s is taken apart", (name, parts) => {
    expect(parseWalFileName(name)).toEqual({ name, ...parts });
  });

  test.each([
    "",
    "00000001000000000000000",
    "0000000100000000000000010",
    "0000000a000000010000003f",
    "000000000000000000000001",
    "00000000.history",
    "2.history",
    "00000002.history.gz",
    "000000010000000000000001.partial.partial",
    "000000010000000000000003.28.backup",
    "pg_wal/000000010000000000000001",
    "../000000010000000000000001",
    "000000010000000000000001\n",
    "archive_status",
    "RECOVERYXLOG",
  ])("%j is none", (name) => {
    expect(parseWalFileName(name)).toBeUndefined();
  });
});

describe("segment numbers", () => {
  test("survive being made a name and back, at every segment size", () => {
    const numbers = fc.bigInt({ min: 0n, max: (1n << 34n) - 1n });
    fc.assert(
      fc.property(fc.constantFrom(...sizes), numbers, fc.integer({ min: 1, max: 0xffffffff }), (size, number, tli) => {
        const name = segmentFileName(timelineId(tli), number, size);
        const parsed = parseWalFileName(name);
        expect(parsed).toMatchObject({ kind: "segment", timeline: tli, name });
        if (parsed?.kind !== "segment") return;
        expect(segmentNumber(parsed, size)).toBe(number);
      }),
    );
  });

  test("contain the positions that they say", () => {
    const positions = fc.bigInt({ min: 1n, max: 0xffffffffffffn });
    fc.assert(
      fc.property(fc.constantFrom(...sizes), positions, (size, position) => {
        const number = segmentNumberOfLsn(lsn(position), size);
        expect(segmentStart(number, size) <= position).toBe(true);
        expect(segmentStart(number + 1n, size) > position).toBe(true);
        expect(lastSegmentNumberBefore(lsn(position), size)).toBe(segmentNumberOfLsn(lsn(position - 1n), size));
      }),
    );
  });

  test("names roll over after FF with 16 MiB segments", () => {
    const next = segmentNumberOfLsn(parseLsn("0/FF000000"), 16 * MIB) + 1n;
    expect(segmentFileName(timelineId(1), next, 16 * MIB)).toBe("000000010000000100000000");
  });

  test("on a boundary, the last segment before is the one that ends there", () => {
    expect(lastSegmentNumberBefore(parseLsn("0/3000000"), 16 * MIB)).toBe(2n);
    expect(lastSegmentNumberBefore(parseLsn("0/3000001"), 16 * MIB)).toBe(3n);
    expect(lastSegmentNumberBefore(lsn(0n), 16 * MIB)).toBe(0n);
  });

  test("a name that this segment size cannot have is corrupt", () => {
    expect(segmentsPerLog(16 * MIB)).toBe(256);
    expect(thrownBy(() => segmentNumber({ log: 0, segment: 256 }, 16 * MIB)).code).toBe("corrupt");
  });

  test.each(sizes)("%d bytes is a valid segment size", (size) => {
    expect(isValidSegmentSize(size)).toBe(true);
  });

  test.each([0, -1, MIB / 2, 3 * MIB, 16 * MIB + 1, 2048 * MIB, Number.NaN, 1.5 * MIB])("%d bytes is none", (size) => {
    expect(isValidSegmentSize(size)).toBe(false);
  });
});
