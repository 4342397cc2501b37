import { describe, expect, test } from "vitest";
import { ask, backup, DAY, dayMs, noted } from "./retention-cases.ts";

describe("WAL", () => {
  test("stays whole where there is no backup, which an archive of WAL alone is", () => {
    const archive = { wal: { 1: "0-9 11-20" }, backups: [], partials: [[1, 21]] as const };
    const plan = ask({ archive, policy: { keepLast: 1 }, now: 40 * DAY });
    expect(noted(plan).wal).toEqual(["1: 0-9 keep: none-restorable", "1: 11-20 keep: none-restorable"]);
    expect(plan.partials).toMatchObject([{ verdict: "keep" }]);
  });

  test("stays, and so do the backups, where no backup can be restored", () => {
    const archive = { wal: { 1: "0-10 12-30" }, backups: [backup("broken", 1, 10), backup("bare", 1, 90)] };
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 99 }))).toEqual({
      backups: { broken: "keep: none-restorable", bare: "keep: none-restorable" },
      wal: ["1: 0-10 keep: none-restorable", "1: 12-30 keep: none-restorable"],
    });
  });

  test("before the first backup goes when that is complete", () => {
    const archive = { wal: { 1: "0-50" }, backups: [backup("first", 1, 40)] };
    expect(noted(ask({ archive, policy: { keepDaily: 7 }, now: 60 })).wal).toEqual([
      "1: 0-39 expire: not-needed",
      "1: 40-50 keep: window first",
    ]);
  });

  test("behind the newest backup stays, however old it is and whatever the policy", () => {
    for (const policy of [{ keepWithinMs: dayMs }, { keepYearly: 1 }, { keepLast: 1 }]) {
      const archive = { wal: { 1: "0-50" }, backups: [backup("a", 1, 10), backup("b", 1, 20)] };
      expect(noted(ask({ archive, policy, now: 900 * DAY })).wal).toEqual([
        "1: 0-19 expire: not-needed",
        "1: 20-50 keep: window b",
      ]);
    }
  });

  test("of a long backup stays from where that began, though a shorter one ended first", () => {
    const archive = {
      wal: { 1: "0-50" },
      backups: [{ label: "long", start: 10.5, stop: 40.5 }, backup("short", 1, 20)],
    };
    expect(noted(ask({ archive, policy: { keepLast: 2 }, now: 50 })).wal).toEqual([
      "1: 0-9 expire: not-needed",
      "1: 10-50 keep: window long",
    ]);
  });

  test("beyond a hole stays in the window, and holes do not stop what is old from going", () => {
    const archive = { wal: { 1: "0-4 6-14 16-24 26-40" }, backups: [backup("a", 1, 10), backup("b", 1, 20)] };
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 40 })).wal).toEqual([
      "1: 0-4 expire: not-needed",
      "1: 6-14 expire: not-needed",
      "1: 16-19 expire: not-needed",
      "1: 20-24 keep: window b",
      "1: 26-40 keep: window b",
    ]);
  });

  test("ends for a backup that stops on a boundary with the segment before", () => {
    const archive = {
      wal: { 1: "0-50" },
      backups: [{ label: "old", start: 10, stop: 12 }, backup("new", 1, 40)],
    };
    const plan = ask({ archive, policy: { keepLast: 1 }, now: 50, pins: [{ label: "old", until: undefined }] });
    expect(noted(plan).wal).toContain("1: 10-11 keep: backup old");
  });

  test("in .partial files has the verdict of its segment", () => {
    const archive = {
      wal: { 1: "0-50" },
      backups: [backup("a", 1, 40)],
      partials: [
        [1, 7],
        [1, 51],
      ] as const,
    };
    expect(ask({ archive, policy: { keepLast: 1 }, now: 50 }).partials).toMatchObject([
      { segment: 7n, verdict: "expire" },
      { segment: 51n, verdict: "keep" },
    ]);
  });
});
