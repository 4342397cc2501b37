import { describe, expect, test } from "vitest";
import { formatMoment } from "../../src/cli/format.ts";
import { nearest } from "../../src/cli/nearest.ts";
import { formatBytes, formatCount, formatDuration, plural } from "../../src/format.ts";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 kB"],
  [16 * 2 ** 20, "16.0 MB"],
  [1023.9 * 2 ** 20, "1.0 GB"],
  [100 * 2 ** 30, "100 GB"],
  [5000 * 2 ** 50, "5000 PB"],
])("%d bytes are %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [0, "0 s"],
  [59_499, "59 s"],
  [59_500, "1 min 00 s"],
  [3_720_000, "1 h 02 min"],
  [97_200_000, "1 d 03 h"],
])("%d ms are %s", (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));

test.each([
  [0, "0"],
  [999, "999"],
  [1000, "1,000"],
  [1234567, "1,234,567"],
])("%d is counted as %s", (count, text) => expect(formatCount(count)).toBe(text));

test("one is one", () => expect([plural(1, "file"), plural(2, "file")]).toEqual(["1 file", "2 files"]));

describe("moments", () => {
  const time = new Date("2026-11-20T23:30:00.999Z");
  test.each([
    [0, "2026-11-20 23:30:00 UTC"],
    [60, "2026-11-21 00:30:00 +01:00 (2026-11-20 23:30:00 UTC)"],
    [-210, "2026-11-20 20:00:00 -03:30 (23:30:00 UTC)"],
    [345, "2026-11-21 05:15:00 +05:45 (2026-11-20 23:30:00 UTC)"],
  ])("%i minutes east of UTC: %s", (offset, text) => expect(formatMoment(time, offset)).toBe(text));
});

test.each([
  ["clutser", "cluster"],
  ["identityFile", "identity-file"],
  ["x", undefined],
  ["completely-else", undefined],
])("the nearest name to %s is %s", (text, found) => {
  expect(nearest(text, ["cluster", "identity-file", "repository"])).toBe(found);
});
