import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { backupRecordFields, decodeBackupRecord, encodeBackupRecord } from "../../src/repository/backup-record-json.ts";
import { backupLabel, checkClusterName, isBackupLabel, packName, walKey } from "../../src/repository/layout.ts";
import { decodeRecord, encodeRecord } from "../../src/repository/records.ts";
import { backupRecord, identity } from "./backup-fixture.ts";

const record = backupRecord("20261120T100000Z");

function withField(name: string, value: unknown): Uint8Array {
  return encodeRecord({ kind: "pgark backup", ...backupRecordFields(record), [name]: value });
}

test("backup.json comes back as it was, identifiers and LSNs exact", () => {
  expect(decodeBackupRecord("key", encodeBackupRecord(record))).toEqual(record);
});

test.each([
  ["label", 5],
  ["type", "delta"],
  ["majorVersion", "17"],
  ["systemIdentifier", 7_400_000],
  ["systemIdentifier", "-5"],
  ["systemIdentifier", "12x"],
  ["timeline", 1.5],
  ["startLsn", "0/xyz"],
  ["stopLsn", ""],
  ["startTime", "yesterday"],
  ["walSegmentSize", null],
  ["source", "both"],
  ["dataChecksums", "on"],
  ["tablespaces", {}],
  ["tablespaces", [null]],
  ["tablespaces", [{ location: "/srv" }]],
  ["manifest", null],
  ["manifest", { sha256: "00" }],
  ["host", undefined],
])("a backup.json whose %s is %j is corrupt, and the error names field and object", (name, value) => {
  expect(() => decodeBackupRecord("the/key", withField(name, value))).toThrow(
    expect.objectContaining({ code: "corrupt", object: expect.stringContaining("the/key") }),
  );
});

test.each(["", "{", "null", "[]", "5", '"text"', "\0\0\0\0"])("a record of %j is corrupt", (text) => {
  expect(() => decodeRecord("key", Buffer.from(text))).toThrow(expect.objectContaining({ code: "corrupt" }));
});

test("a record of a newer format is refused by name, whatever else is in it; one without a format is corrupt", () => {
  const newer = Buffer.from(JSON.stringify({ format: 2 }));
  expect(() => decodeBackupRecord("key", newer)).toThrow(
    expect.objectContaining({ code: "newer-format", message: expect.stringContaining("format 2") }),
  );
  expect(() => decodeRecord("key", Buffer.from("{}"))).toThrow(expect.objectContaining({ code: "corrupt" }));
});

test("every changed bit and every missing end of a record is noticed", () => {
  const whole = Buffer.from(encodeBackupRecord(record));
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole);
    flipped[at] = (whole[at] ?? 0) ^ (1 << (at % 8));
    expect(() => decodeBackupRecord("key", flipped)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(corrupt|newer-format)$/) }),
    );
    expect(() => decodeBackupRecord("key", whole.subarray(0, at))).toThrow(
      expect.objectContaining({ code: "corrupt" }),
    );
  }
});

test("the digest of a record is that of the bytes before it, as the format says", () => {
  const text = Buffer.from(encodeBackupRecord(record)).toString();
  const before = text.slice(0, text.lastIndexOf(',\n  "sha256"'));
  const digest = text.slice(-68, -4);
  expect(digest).toBe(createHash("sha256").update(before).digest("hex"));
});

test("fields that are not known are passed over", () => {
  expect(decodeBackupRecord("key", withField("colour", "blue"))).toEqual(record);
});

test.each([
  ["00000001000000AB000000CD", "main/17-7400000000000000001/wal/00000001/000000AB/00000001000000AB000000CD.zst"],
  [
    "00000001000000AB000000CD.partial",
    "main/17-7400000000000000001/wal/00000001/000000AB/00000001000000AB000000CD.partial.zst",
  ],
  ["00000002.history", "main/17-7400000000000000001/wal/00000002/00000002.history.zst"],
  [
    "000000010000000000000003.00000028.backup",
    "main/17-7400000000000000001/wal/00000001/000000010000000000000003.00000028.backup.zst",
  ],
])("the WAL file %s has its place", (name, key) => {
  expect(walKey("main", identity, name, false)).toBe(key);
  expect(walKey("main", identity, name, true)).toBe(`${key}.age`);
});

test("packs are numbered so that they list in their order", () => {
  const names = [0, 9, 10, 999_999].map((number) => packName(number, true));
  expect(names).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(names[0]).toBe("data/000000.tar.zst.age");
});

test("labels come from the server's clock and are known again", () => {
  const label = backupLabel(new Date("2026-11-20T10:11:12.987Z"), 0);
  expect(label).toBe("20261120T101112Z");
  expect(backupLabel(new Date("2026-11-20T10:11:12.987Z"), 2)).toBe("20261120T101112Z-2");
  for (const good of [label, `${label}-12`]) expect(isBackupLabel(good)).toBe(true);
  for (const bad of ["", "..", "20261120", `${label}-`, `${label}/x`, ` ${label}`])
    expect(isBackupLabel(bad)).toBe(false);
});

test.each(["main", "a", "Prod-1.eu_west", "0"])("%s is a name for a cluster", (name) => {
  expect(() => checkClusterName(name)).not.toThrow();
});

test.each(["", ".", "..", ".tmp", "-x", "a/b", "a b", "ü", "x".repeat(64)])("%j is no name for a cluster", (name) => {
  expect(() => checkClusterName(name)).toThrow(expect.objectContaining({ code: "usage" }));
});
