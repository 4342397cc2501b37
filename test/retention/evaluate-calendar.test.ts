import { describe, expect, test } from "vitest";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import { ask, backup, daily, DAY, noted } from "./retention-cases.ts";

describe("calendar rules", () => {
  const archive = daily(70);
  const kept = (policy: RetentionPolicy): readonly string[] =>
    ask({ archive, policy, now: 70 * DAY }).backups.flatMap((verdict) =>
      verdict.verdict === "keep"
        ? verdict.reasons.map((reason) => `${verdict.record.label} ${"period" in reason ? reason.period : reason.kind}`)
        : [],
    );

  test("keep the newest backup of each of the last days, ISO weeks, months and years that have one", () => {
    expect(kept({ keepDaily: 2 })).toEqual(["d68 2027-01-27", "d69 newest", "d69 2027-01-28"]);
    expect(kept({ keepWeekly: 3 })).toEqual(["d58 2027-W02", "d65 2027-W03", "d69 newest", "d69 2027-W04"]);
    expect(kept({ keepMonthly: 3 })).toEqual(["d10 2026-11", "d41 2026-12", "d69 newest", "d69 2027-01"]);
    expect(kept({ keepYearly: 9 })).toEqual(["d41 2026", "d69 newest", "d69 2027"]);
  });

  test("unite with the others", () => {
    expect(kept({ keepLast: 1, keepMonthly: 2, keepYearly: 2 })).toEqual([
      "d41 2026-12",
      "d41 2026",
      "d69 last",
      "d69 2027-01",
      "d69 2027",
    ]);
  });

  test("keep of the WAL of a backup outside of the window what makes it consistent, and no more", () => {
    expect(noted(ask({ archive, policy: { keepMonthly: 2 }, now: 70 * DAY })).wal).toEqual([
      "1: 0-5915 expire: not-needed",
      "1: 5916-5917 keep: backup d41",
      "1: 5918-9947 expire: not-needed",
      "1: 9948-10080 keep: window d69",
    ]);
  });

  test("and keep-last do what the example in the documentation says", () => {
    const plan = ask({ archive: daily(29), policy: { keepLast: 2, keepWeekly: 3 }, now: 28.5 * DAY });
    const { backups, wal } = noted(plan);
    expect(plan.backups[16]?.record.stopTime.toISOString().slice(0, 10)).toBe("2026-12-06");
    expect(Object.entries(backups).filter(([, verdict]) => verdict.startsWith("keep"))).toEqual([
      ["d16", "keep: weekly"],
      ["d23", "keep: weekly"],
      ["d27", "keep: last"],
      ["d28", "keep: last weekly"],
    ]);
    expect(wal.filter((line) => line.includes("keep"))).toEqual([
      "1: 2316-2317 keep: backup d16",
      "1: 3324-3325 keep: backup d23",
      "1: 3900-4176 keep: window d27",
    ]);
  });

  test("go by UTC, with weeks from Monday on", () => {
    const backups = [
      backup("sunday", 1, 0, 3 * DAY - 0.1),
      backup("monday", 1, 1, 3 * DAY),
      backup("late", 1, 2, 3 * DAY + 1),
    ];
    const plan = ask({ archive: { wal: { 1: "0-9" }, backups }, policy: { keepWeekly: 2 }, now: 4 * DAY });
    expect(noted(plan).backups).toEqual({
      sunday: "keep: weekly",
      monday: "expire: outside-policy",
      late: "keep: newest weekly",
    });
  });

  test("pass over backups that cannot be restored", () => {
    const gap = { ...archive, wal: { 1: `0-${69 * DAY + 12} ${69 * DAY + 14}-${70 * DAY}` } };
    const plan = ask({ archive: gap, policy: { keepDaily: 2 }, now: 70 * DAY });
    expect(Object.entries(noted(plan).backups).filter(([, verdict]) => verdict.startsWith("keep"))).toEqual([
      ["d67", "keep: daily"],
      ["d68", "keep: newest daily"],
      ["d69", "keep: in-window"],
    ]);
  });
});
