import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { WalBuilder } from "./wal-builder.ts";
import { check, fill, ordinaryWal } from "./wal-records-fixture.ts";

/** A short segment: one record, and then the end of WAL. */
function shortWal(): WalBuilder {
  const wal = new WalBuilder();
  wal.addData(Buffer.alloc(100));
  return wal;
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
