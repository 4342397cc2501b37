import { describe, expect, test } from "vitest";
import { evaluateRetention } from "../../src/retention/evaluate.ts";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import { buildCatalog, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";
import { ask, backup, DAY, dayMs, noted } from "./retention-cases.ts";

/** One backup a day, "d0" first, and all WAL. */
function daily(days: number): ArchiveSpec {
  return {
    wal: { 1: `0-${days * DAY}` },
    backups: Array.from({ length: days }, (_, day) => backup(`d${day}`, 1, day * DAY + 12)),
  };
}

describe("a policy", () => {
  test("without any rule keeps everything, though pins are set", () => {
    const plan = ask({ archive: daily(3), policy: {}, now: 9 * DAY, pins: [{ label: "d0", until: undefined }] });
    expect(noted(plan)).toEqual({
      backups: { d0: "keep: no-policy", d1: "keep: no-policy", d2: "keep: no-policy" },
      wal: ["1: 0-432 keep: no-policy"],
    });
    expect(plan.windowBegin).toBeUndefined();
  });

  test.each([{ keepLast: 0 }, { keepDaily: -1 }, { keepYearly: 1.5 }, { keepWithinMs: Number.NaN }])(
    "%j is refused",
    (policy: RetentionPolicy) => {
      expect(() => ask({ archive: daily(1), policy, now: DAY })).toThrow(
        expect.objectContaining({ name: "PgarkError", code: "usage" }),
      );
    },
  );

  test("is not applied to a catalog that mixes two lives of a cluster", () => {
    const catalog = buildCatalog(daily(2));
    const upgraded = { ...catalog, identity: { ...catalog.identity, majorVersion: 18 } };
    expect(() =>
      evaluateRetention({ catalog: upgraded, pins: [], running: [], now: clock(DAY) }, { keepLast: 1 }),
    ).toThrow(expect.objectContaining({ code: "refused", object: "d0" }));
  });
});

describe("keep-last", () => {
  test("keeps the newest backups, and all WAL from the start of the oldest of them on", () => {
    const plan = ask({ archive: daily(4), policy: { keepLast: 2 }, now: 4 * DAY });
    expect(noted(plan)).toEqual({
      backups: { d0: "expire: outside-policy", d1: "expire: outside-policy", d2: "keep: last", d3: "keep: last" },
      wal: ["1: 0-299 expire: not-needed", "1: 300-576 keep: window d2"],
    });
    expect(plan.backups[3]).toMatchObject({ reasons: [{ kind: "last", place: 1, count: 2 }] });
  });

  test("lets nothing but WAL before the first backup go while there are fewer", () => {
    expect(noted(ask({ archive: daily(2), policy: { keepLast: 5 }, now: 2 * DAY }))).toEqual({
      backups: { d0: "keep: last", d1: "keep: last" },
      wal: ["1: 0-11 expire: not-needed", "1: 12-288 keep: window d0"],
    });
  });

  test("goes by time, never by names", () => {
    const backups = [
      backup("20300101T000000Z", 1, 10),
      backup("20010101T000000Z", 1, 20),
      backup("zzz", 1, 30),
      backup("aaa", 1, 40),
    ];
    const { backups: verdicts } = noted(
      ask({ archive: { wal: { 1: "0-50" }, backups }, policy: { keepLast: 2 }, now: 50 }),
    );
    expect(verdicts).toEqual({
      "20300101T000000Z": "expire: outside-policy",
      "20010101T000000Z": "expire: outside-policy",
      zzz: "keep: last",
      aaa: "keep: last",
    });
  });

  test("does not count a backup that lacks WAL of its own, but keeps it while it is among the newest", () => {
    const archive = {
      wal: { 1: "0-30 32-50" },
      backups: [backup("a", 1, 10), backup("b", 1, 20), backup("broken", 1, 30), backup("c", 1, 40)],
    };
    expect(noted(ask({ archive, policy: { keepLast: 2 }, now: 50 })).backups).toEqual({
      a: "expire: outside-policy",
      b: "keep: last",
      broken: "keep: in-window",
      c: "keep: last",
    });
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 50 })).backups).toMatchObject({
      b: "expire: outside-policy",
      broken: "expire: not-restorable",
      c: "keep: last",
    });
  });

  test("keeps the last backup that can be restored when the newest one cannot", () => {
    const archive = {
      wal: { 1: "0-40 42-50" },
      backups: [backup("a", 1, 10), backup("good", 1, 20), backup("broken", 1, 40)],
    };
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 50 }))).toEqual({
      backups: { a: "expire: outside-policy", good: "keep: last", broken: "keep: in-window" },
      wal: ["1: 0-19 expire: not-needed", "1: 20-40 keep: window good", "1: 42-50 keep: window good"],
    });
  });
});

describe("keep-within", () => {
  test("keeps the newest backup that is older than the window, so that its first moment can be restored", () => {
    const plan = ask({ archive: daily(6), policy: { keepWithinMs: 2 * dayMs }, now: 6 * DAY });
    expect(noted(plan)).toEqual({
      backups: {
        d0: "expire: outside-policy",
        d1: "expire: outside-policy",
        d2: "expire: outside-policy",
        d3: "keep: opens-window",
        d4: "keep: within",
        d5: "keep: newest within",
      },
      wal: ["1: 0-443 expire: not-needed", "1: 444-864 keep: window d3"],
    });
    expect(plan.windowBegin).toEqual(clock(4 * DAY));
  });

  test("takes an older one when the newest before the window cannot be restored", () => {
    const archive = {
      wal: { 1: "0-20 22-60" },
      backups: [backup("a", 1, 10), backup("broken", 1, 20), backup("c", 1, 50)],
    };
    expect(noted(ask({ archive, policy: { keepWithinMs: (30 / DAY) * dayMs }, now: 60 }))).toMatchObject({
      backups: { a: "keep: opens-window", broken: "keep: in-window", c: "keep: newest within" },
    });
  });
});

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

describe("pins", () => {
  const archive = daily(5);
  const policy = { keepLast: 1 };

  test("keep a backup that no rule keeps, and the WAL that makes it consistent", () => {
    const plan = ask({ archive, policy, now: 5 * DAY, pins: [{ label: "d1", until: undefined }] });
    expect(noted(plan)).toMatchObject({
      backups: { d0: "expire: outside-policy", d1: "keep: pin", d2: "expire: outside-policy" },
      wal: [
        "1: 0-155 expire: not-needed",
        "1: 156-157 keep: backup d1",
        "1: 158-587 expire: not-needed",
        "1: 588-720 keep: window d4",
      ],
    });
  });

  test("end at their moment", () => {
    const pins = [{ label: "d1", until: clock(5 * DAY) }];
    expect(noted(ask({ archive, policy, now: 5 * DAY, pins })).backups["d1"]).toBe("expire: outside-policy");
    expect(noted(ask({ archive, policy, now: 5 * DAY - 0.1, pins })).backups["d1"]).toBe("keep: pin");
  });

  test("keep a backup that cannot be restored too", () => {
    const gap = { ...archive, wal: { 1: `0-156 158-${5 * DAY}` } };
    const plan = ask({ archive: gap, policy, now: 5 * DAY, pins: [{ label: "d1", until: undefined }] });
    expect(noted(plan)).toMatchObject({
      backups: { d1: "keep: pin" },
      wal: [
        "1: 0-155 expire: not-needed",
        "1: 156-156 keep: backup d1",
        "1: 158-587 expire: not-needed",
        expect.anything(),
      ],
    });
  });

  test("without a backup are named, once they hold no more they are not", () => {
    const pins = [
      { label: "lost", until: undefined },
      { label: "over", until: clock(1) },
    ];
    expect(ask({ archive, policy, now: 5 * DAY, pins }).unknownPins).toEqual([pins[0]]);
  });
});

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
