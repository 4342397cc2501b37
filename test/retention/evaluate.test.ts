import { describe, expect, test } from "vitest";
import { evaluateRetention } from "../../src/retention/evaluate.ts";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import { buildCatalog, clock } from "../restore/archive-builder.ts";
import { ask, backup, daily, DAY, dayMs, noted } from "./retention-cases.ts";

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
