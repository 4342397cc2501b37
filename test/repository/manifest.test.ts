import { describe, expect, test } from "vitest";
import { formatManifestLine, formatMode, parseManifestLine, parseMode } from "../../src/repository/manifest.ts";
import type { ManifestLine } from "../../src/repository/manifest.ts";

const file: ManifestLine = {
  type: "file",
  path: "base/5/1259",
  size: 8192,
  mode: "0600",
  modified: "2026-11-20T10:00:00.000Z",
  crc32c: "0badcafe",
  extents: [{ pack: 0, offset: 512, length: 8192 }],
};
const pack: ManifestLine = { type: "pack", pack: 0, name: "data/000000.tar.zst", size: 100, sha256: "a".repeat(64) };
const lines: readonly ManifestLine[] = [
  { type: "manifest", format: 1, label: "20261120T100000Z", identity: "17-7400000000000000001" },
  { type: "directory", path: ".", mode: "0700" },
  { type: "directory", path: "pg_wal", mode: "0700", target: "/srv/wal" },
  { type: "tablespace", oid: 16_384, location: '/srv/with "quotes"\n and a line end' },
  pack,
  file,
  { ...file, path: "pg_tblspc/16384/PG_17_202406281/5/16390.1", badPages: [0, 7] },
  { ...file, path: "odd name ü", size: 0, extents: [] },
  { type: "end", files: 3, bytes: 16_384, packs: 1 },
];

test.each(lines)("a line of type $type comes back as it was, from a single line of text", (line) => {
  const text = formatManifestLine(line);
  expect(text.indexOf("\n")).toBe(text.length - 1);
  expect(parseManifestLine(text.slice(0, -1))).toEqual(line);
});

test.each(["../outside", "/etc/passwd", "a/../../b", "a//b", "a/./b", "", "a/", ".", "..", "a\0b"])(
  "a file of the path %j is refused: nothing is written outside the data directory",
  (path) => {
    expect(() => parseManifestLine(JSON.stringify({ ...file, path }))).toThrow(
      expect.objectContaining({ code: "corrupt" }),
    );
  },
);

test.each(["../other", "/data", "..", "data/../../../cluster.json"])(
  "a directory or a pack cannot lead to %s",
  (path) => {
    const directory = { type: "directory", path, mode: "0700" };
    expect(() => parseManifestLine(JSON.stringify(directory))).toThrow(expect.objectContaining({ code: "corrupt" }));
    const object = { ...pack, name: path };
    expect(() => parseManifestLine(JSON.stringify(object))).toThrow(expect.objectContaining({ code: "corrupt" }));
  },
);

describe("a line that is not what its type must be is corrupt", () => {
  const cases: readonly [string, unknown][] = [
    ["no JSON", undefined],
    ["null", null],
    ["a number", 5],
    ["a list", []],
    ["a size that is no number", { ...file, size: "8192" }],
    ["a negative size", { ...file, size: -1 }],
    ["a size that is not exact", { ...file, size: 2 ** 60 }],
    ["a mode in another form", { ...file, mode: "700" }],
    ["a digest that is too short", { ...file, crc32c: "abc" }],
    ["no extents", { ...file, extents: undefined }],
    ["an extent without a length", { ...file, extents: [{ pack: 0, offset: 0 }] }],
    ["bad pages that are no numbers", { ...file, badPages: ["1"] }],
    ["a pack without a digest", { ...pack, sha256: "" }],
    ["a tablespace without a place", { type: "tablespace", oid: 1 }],
    ["an end without counts", { type: "end" }],
    ["a header without a label", { type: "manifest", format: 1, identity: "17-1" }],
    ["a header without a format", { type: "manifest", label: "l", identity: "17-1" }],
  ];
  test.each(cases)("%s", (_what, value) => {
    const text = value === undefined ? "{" : JSON.stringify(value);
    expect(() => parseManifestLine(text)).toThrow(expect.objectContaining({ code: "corrupt" }));
  });
});

test.each([
  { type: "manifest", format: 2, label: "l", identity: "17-1" },
  { type: "manifest", format: 99, somethingElse: true },
  { type: "delta", path: "base/5/1259" },
])("what only a later format has is refused as newer: $type", (line) => {
  const newer = { code: "newer-format", hint: expect.stringContaining("later") };
  expect(() => parseManifestLine(JSON.stringify(line))).toThrow(expect.objectContaining(newer));
});

test("fields that are not known are passed over", () => {
  expect(parseManifestLine(JSON.stringify({ ...file, colour: "blue" }))).toMatchObject(file);
});

test.each([0o700, 0o750, 0o600, 0o640, 0o7])("the mode %o is written in four octal digits and read back", (mode) => {
  expect(formatMode(mode)).toMatch(/^0[0-7]{3}$/);
  expect(parseMode(formatMode(mode | 0o100000))).toBe(mode);
});
