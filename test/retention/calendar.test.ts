import { describe, expect, test } from "vitest";
import { periodOf } from "../../src/retention/calendar.ts";

describe("a period", () => {
  test.each([
    ["daily", "2026-11-20T23:59:59.999Z", "2026-11-20"],
    ["daily", "2026-11-21T00:00:00.000Z", "2026-11-21"],
    ["monthly", "2026-02-28T23:59:59.999Z", "2026-02"],
    ["yearly", "2026-12-31T23:59:59.999Z", "2026"],
    ["weekly", "2026-11-22T23:59:59.999Z", "2026-W47"],
    ["weekly", "2026-11-23T00:00:00.000Z", "2026-W48"],
    // the week of a New Year belongs to the year that has more of it
    ["weekly", "2025-12-29T00:00:00.000Z", "2026-W01"],
    ["weekly", "2027-01-03T23:59:59.999Z", "2026-W53"],
    ["weekly", "2027-01-04T00:00:00.000Z", "2027-W01"],
    ["weekly", "2024-12-30T00:00:00.000Z", "2025-W01"],
    ["weekly", "2023-01-01T12:00:00.000Z", "2022-W52"],
  ] as const)("%s of %s is %s", (unit, time, period) => {
    expect(periodOf(unit, Date.parse(time))).toBe(period);
  });
});
