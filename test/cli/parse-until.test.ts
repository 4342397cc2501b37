import { describe, expect, test } from "vitest";
import { parseUntil } from "../../src/cli/parse-until.ts";

const now = new Date("2026-11-20T10:00:00.000Z");

describe("--until", () => {
  test.each([
    ["90d", "2027-02-18T10:00:00.000Z"],
    ["1h 30min", "2026-11-20T11:30:00.000Z"],
    ["2027-04-01T12:00:00Z", "2027-04-01T12:00:00.000Z"],
    ["2027-04-01 12:00:00+02", "2027-04-01T10:00:00.000Z"],
    ["2099-12-31T23:59:59Z", "2099-12-31T23:59:59.000Z"],
  ])("%s is %s", (text, expected) => {
    expect(parseUntil(text, now).toISOString()).toBe(expected);
  });

  test("a date alone is its first moment here", () => {
    expect(parseUntil("2027-04-01", now)).toEqual(new Date(2027, 3, 1));
  });

  test.each([
    ["2026-11-20T09:59:59Z", "is over"],
    ["2020-01-01", "is over"],
    ["90", "not a moment"],
    ["90 weeks", "not a duration"],
    ["tomorrow", "not a moment"],
    ["latest", "not a moment"],
    ["2027-02-30", "no such date"],
  ])("%s is refused: %s", (text, problem) => {
    expect(() => parseUntil(text, now)).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining(problem) as string }) as Error,
    );
  });
});
