import { describe, expect, test } from "vitest";
import { checkWalSegment } from "../../src/postgres/wal-records.ts";
import type { WalFault } from "../../src/postgres/wal-segment-check.ts";
import { WalBuilder } from "./wal-builder.ts";
import { check, flip, ordinaryWal } from "./wal-records-fixture.ts";

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
