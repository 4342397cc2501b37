import { describe, expect, test } from "vitest";
import { ask, backup, DAY, dayMs, noted } from "./retention-cases.ts";

describe("a clock that stepped", () => {
  test("into the future for one backup does not make that one the newest for years", () => {
    const wal = { 1: "0-60" };
    const archive = { wal, backups: [backup("a", 1, 10), backup("future", 1, 20, 1000 * DAY), backup("c", 1, 30)] };
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 60 }))).toEqual({
      backups: { a: "expire: outside-policy", c: "keep: last", future: "expire: outside-policy" },
      wal: ["1: 0-29 expire: not-needed", "1: 30-60 keep: window c"],
    });
    const policy = { keepWithinMs: (10 / DAY) * dayMs };
    expect(noted(ask({ archive, policy, now: 60 })).backups).toMatchObject({
      a: "expire: outside-policy",
      c: "keep: newest",
    });
    const newest = { wal, backups: archive.backups.slice(0, 2) };
    expect(noted(ask({ archive: newest, policy: { keepLast: 1 }, now: 60 })).backups).toEqual({
      a: "expire: outside-policy",
      future: "keep: last",
    });
  });

  test("into the future for a backup leaves its age to those behind it that stay", () => {
    const archive = {
      wal: { 1: "0-20 22-400" },
      backups: [
        backup("future", 1, 10, 1000 * DAY),
        backup("broken", 1, 20, DAY - 1),
        backup("c", 1, 30, DAY + 1),
        backup("d", 1, 330, 2 * DAY + 1),
      ],
    };
    const question = { policy: { keepDaily: 3 }, now: 3 * DAY };
    const kept = noted(ask({ archive, ...question })).backups;
    expect(kept).toMatchObject({ future: "expire: outside-policy", c: "keep: daily", d: "keep: newest daily" });
    const [, , ...stay] = archive.backups;
    expect(noted(ask({ archive: { ...archive, backups: stay }, ...question })).backups).toEqual({
      c: kept["c"],
      d: kept["d"],
    });
  });

  test("back keeps the backup that is newest in WAL, though another shows a later time", () => {
    const archive = {
      wal: { 1: "0-60" },
      backups: [backup("a", 1, 10), backup("b", 1, 20, 50), backup("c", 1, 30, 45)],
    };
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 60 }))).toEqual({
      backups: { a: "expire: outside-policy", b: "keep: last", c: "keep: in-window" },
      wal: ["1: 0-19 expire: not-needed", "1: 20-60 keep: window b"],
    });
  });

  test("back does not let a backup open the window that an older one shows to have begun before it", () => {
    const archive = {
      wal: { 1: "0-80" },
      backups: [backup("a", 1, 10), backup("b", 1, 20, 50), backup("c", 1, 30, 35), backup("d", 1, 60)],
    };
    // the window begins at 40: b shows 50, so what lies between a and b may be in it
    expect(noted(ask({ archive, policy: { keepWithinMs: (40 / DAY) * dayMs }, now: 80 })).backups).toEqual({
      a: "keep: opens-window",
      b: "keep: within",
      c: "keep: in-window",
      d: "keep: newest within",
    });
  });

  test("back while a backup was taken leaves what happened before the step in reach", () => {
    const odd = { ...backup("a", 1, 10, 12), startClock: 45 };
    const archive = { wal: { 1: "0-80" }, backups: [odd, backup("b", 1, 20), backup("c", 1, 60)] };
    expect(noted(ask({ archive, policy: { keepWithinMs: (40 / DAY) * dayMs }, now: 80 })).backups).toEqual({
      a: "keep: opens-window",
      b: "keep: in-window",
      c: "keep: newest within",
    });
  });

  test("back where retention runs keeps more, not less", () => {
    const archive = { wal: { 1: "0-60" }, backups: [backup("a", 1, 10), backup("b", 1, 20), backup("c", 1, 30)] };
    const { backups } = noted(ask({ archive, policy: { keepWithinMs: dayMs }, now: -90 * DAY }));
    expect(Object.values(backups).every((verdict) => verdict.startsWith("keep"))).toBe(true);
  });
});
