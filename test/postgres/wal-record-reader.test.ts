import { describe, expect, test } from "vitest";
import { readRestorePoint, readTransactionEnd } from "../../src/postgres/transaction-records.ts";
import { WalRecordReader } from "../../src/postgres/wal-record-reader.ts";
import type { WalReading } from "../../src/postgres/wal-record-reader.ts";
import type { WalRecord } from "../../src/postgres/wal-record.ts";
import type { WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";
import { WalBuilder } from "./wal-builder.ts";

/** 2026-11-20T10:00:00.123456Z, and as PostgreSQL counts it. */
const TIME = 1_795_168_800_123_456n;
const POSTGRES_TIME = TIME - 946_684_800_000_000n;

/** What a transaction's or WAL's own record begins with; the reader keeps the contents of those. */
function timed(length: number): Buffer {
  const data = Buffer.alloc(length, 0x61);
  data.writeBigInt64LE(POSTGRES_TIME);
  return data;
}

/** Reads segments as a caller does that has one buffer for all of them. */
function readAll(segments: readonly WalSegmentInput[], visit: (record: WalRecord) => "stop" | void): WalReading[] {
  const reader = new WalRecordReader();
  const buffer = Buffer.alloc(1 << 20);
  const readings: WalReading[] = [];
  for (const { name, bytes } of segments) {
    buffer.set(bytes);
    readings.push(reader.read({ name, bytes: buffer }, visit));
    buffer.fill(0);
  }
  return readings;
}

describe("reading records", () => {
  test("tells every record in order, with all it contains, over pages and segments", () => {
    const wal = new WalBuilder();
    for (let number = 0; wal.segments().length < 4; number++) {
      const length = number % 40 === 39 ? 250_000 : number % 500;
      wal.addData(timed(8 + length), { resourceManager: 1, info: 0, xid: 700 + number });
    }
    wal.addData(timed(1_500_000), { resourceManager: 1, xid: 5 });
    wal.switchSegment();
    let index = 0;
    const wrong: bigint[] = [];
    const readings = readAll(wal.segments(), (record) => {
      const built = wal.records[index++];
      const next = wal.records[index];
      const same =
        record.lsn === built?.lsn &&
        record.totalLength === built.bytes.length &&
        built.bytes.equals(record.contents() ?? Buffer.alloc(0)) &&
        // a page header may lie between the end of one and the beginning of the next
        (next === undefined || next.lsn - record.endLsn <= 40n);
      if (!same) wrong.push(record.lsn);
    });
    expect(wrong).toEqual([]);
    expect(index).toBe(wal.records.length);
    expect(readings.map(({ outcome }) => outcome)).toEqual(
      readings.map((_, at) => (at === readings.length - 1 ? "switched" : "full")),
    );
  });

  test.each([8, 16, 24, 32, 64])("finds a commit whose record begins with the last %d bytes of a segment", (left) => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(left);
    wal.addData(timed(40), { resourceManager: 1, info: 0, xid: 812 });
    wal.switchSegment();
    const found: unknown[] = [];
    readAll(wal.segments(), (record) => {
      const end = readTransactionEnd(record);
      if (end !== undefined) found.push({ ...end, lsn: record.lsn });
    });
    expect(found).toEqual([{ kind: "commit", xid: 812, time: TIME, lsn: wal.records[1]?.lsn }]);
  });

  test("does not keep what large records of others contain across segments", () => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(64);
    wal.addData(Buffer.alloc(3000, 1), { resourceManager: 21 });
    wal.switchSegment();
    const seen: unknown[] = [];
    readAll(wal.segments(), (record) => {
      seen.push([record.resourceManager, record.totalLength, record.mainData()?.length]);
    });
    expect(seen[1]).toEqual([21, 3029, undefined]);
  });

  test("ends where the visitor says so", () => {
    const wal = new WalBuilder();
    for (let number = 0; number < 10; number++) wal.addData(timed(40), { xid: 700 + number });
    let last = 0;
    const [reading] = readAll(wal.segments(), ({ xid }) => ((last = xid) === 704 ? "stop" : undefined));
    expect(reading).toMatchObject({ outcome: "stopped", fault: undefined, validUntil: wal.records[5]?.lsn });
    expect(last).toBe(704);
  });

  test("visits nothing behind damage, and begins anew in the next segment", () => {
    const wal = new WalBuilder();
    while (wal.segments().length < 3) wal.addData(Buffer.alloc(400), { xid: wal.segments().length });
    const [one, two, three] = [wal.segment(0), wal.segment(1), wal.segment(2)];
    two.bytes.fill(0xee, 4000, 4100);
    const visits = new Map<number, number>();
    const readings = readAll([one, two, three], ({ xid }) => void visits.set(xid, (visits.get(xid) ?? 0) + 1));
    expect(readings).toMatchObject([{ outcome: "full" }, { outcome: "damaged" }, { outcome: "damaged" }]);
    expect(readings[1]?.validUntil).toBe(readings[1]?.fault?.record);
    expect(readings[2]?.fault?.kind).toBe("end");
    expect(visits.get(2)).toBeLessThan(15);
  });

  test("takes no damaged record for one that crosses into the segment", () => {
    const wal = new WalBuilder();
    wal.fillUntilLeft(64);
    wal.addData(timed(300), { resourceManager: 1 });
    wal.addData(timed(300), { resourceManager: 1 });
    wal.segment(1).bytes.fill(0xee, 100, 101);
    let visits = 0;
    const readings = readAll(wal.segments(), () => void visits++);
    expect(visits).toBe(1);
    expect(readings[1]).toMatchObject({ outcome: "damaged", validUntil: wal.records[1]?.lsn });
    expect(readings[1]?.fault).toMatchObject({ kind: "checksum", record: wal.records[1]?.lsn });
  });

  test("visits no record that does not follow the one before it", () => {
    const ours = new WalBuilder();
    ours.fillUntilLeft(0);
    const theirs = new WalBuilder();
    theirs.add(Buffer.alloc(40));
    theirs.fillUntilLeft(0);
    theirs.add(Buffer.alloc(40));
    let visits = 0;
    const readings = readAll([ours.segment(0), theirs.segment(1)], () => void visits++);
    expect(visits).toBe(1);
    expect(readings[1]?.fault).toMatchObject({ kind: "previous", record: theirs.records[2]?.lsn });
  });

  test("makes nothing of a transaction's end that is too short for one", () => {
    const wal = new WalBuilder();
    wal.addData(Buffer.alloc(4), { resourceManager: 1 });
    wal.add(Buffer.from([255, 200, 0, 0, 0]), { resourceManager: 1 });
    wal.addData(timed(12), { resourceManager: 1, info: 0x30 });
    wal.addData(Buffer.alloc(12, 0xff), { resourceManager: 1, info: 0x30 | 0x80 });
    wal.addData(Buffer.alloc(4), { resourceManager: 0, info: 0x70 });
    const seen: unknown[] = [];
    readAll(wal.segments(), (record) => void seen.push(readTransactionEnd(record) ?? readRestorePoint(record)));
    expect(seen).toEqual(wal.records.map(() => undefined));
  });
});
