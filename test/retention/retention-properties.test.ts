import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { segmentStart } from "../../src/postgres/wal-file-name.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { knownTimelines } from "../../src/repository/timeline-path.ts";
import { applyToCatalog } from "../../src/retention/apply-to-catalog.ts";
import { periodOf } from "../../src/retention/calendar.ts";
import { evaluateRetention } from "../../src/retention/evaluate.ts";
import type { RetentionPlan } from "../../src/retention/retention-plan.ts";
import { planRecovery } from "../../src/restore/plan-recovery.ts";
import type { RecoveryTarget } from "../../src/restore/recovery-plan.ts";
import { MIB } from "../restore/archive-builder.ts";
import { range, replay, unitOf, unitStart } from "../restore/archive-model.ts";
import type { World, WorldTimeline } from "../restore/archive-model.ts";
import { cases, prunedWorld } from "./retention-worlds.ts";
import type { Case } from "./retention-worlds.ts";

const SECOND = 1000;
const anyClock = cases({ min: -8, max: 8 });
const goodClock = cases({ min: 0, max: 0 });
const lateClock = cases({ min: -8, max: 0 });

type Check = (item: Case, plan: RetentionPlan, after: World) => void;

function forEachCase(arbitrary: fc.Arbitrary<Case>, check: Check, numRuns = 80): void {
  fc.assert(
    fc.property(arbitrary, (item) => {
      const plan = evaluateRetention(item.facts, item.policy);
      check(item, plan, prunedWorld(item, plan));
    }),
    { numRuns },
  );
}

function plans({ catalog }: World, timeline: number, target: RecoveryTarget, backup?: string): boolean {
  return planRecovery(catalog, { target, timeline: timelineId(timeline), backup }).kind === "plan";
}

function toLsn(unit: number): RecoveryTarget {
  return { kind: "lsn", lsn: unitStart(unit), inclusive: true };
}

function toTime(time: number): RecoveryTarget {
  return { kind: "time", time: new Date(time), text: "", inclusive: true };
}

/** Timelines on which something happened in the window; the plan must see them too. */
function inUse({ world: { timelines, catalog }, facts }: Case, plan: RetentionPlan): readonly WorldTimeline[] {
  const { windowBegin = new Date(0) } = plan;
  const used = new Set<number>(knownTimelines(catalog).slice(-1));
  for (const { timeline, archivedAt } of catalog.wal) if (archivedAt >= windowBegin) used.add(timeline);
  for (const { timeline, stopTime } of catalog.backups) {
    if (stopTime >= windowBegin && stopTime <= facts.now) used.add(timeline);
  }
  const seen = plan.timelines.filter((verdict) => verdict.inUse).map(({ timeline }) => timeline);
  expect(seen).toEqual(expect.arrayContaining([...used]));
  return timelines.filter(({ id }) => used.has(id));
}

function keptBackups(plan: RetentionPlan): RetentionPlan["backups"] {
  return plan.backups.filter(({ verdict }) => verdict === "keep");
}

describe("retention over random archives", () => {
  test("keeps every transaction of the window within reach of the planner", () => {
    forEachCase(anyClock, (item, plan, after) => {
      const { world } = item;
      const begin = plan.windowBegin?.getTime() ?? 0;
      const now = item.facts.now.getTime();
      for (const { id, units } of inUse(item, plan)) {
        // Where the clock stepped, the window begins where it shows times of the window for good.
        const first = units.findLastIndex(({ time }) => time <= begin || time > now) + 1;
        for (const unit of range(first, units.length + 2)) {
          if (!plans(world, id, toLsn(unit))) continue;
          expect(plans(after, id, toLsn(unit)), `${id}:${unit}`).toBe(true);
        }
        const latest = plans(after, id, { kind: "latest" }) || !plans(world, id, { kind: "latest" });
        expect(latest, `${id}: latest`).toBe(true);
      }
    });
  });

  test("keeps every time of the window within reach of the planner", () => {
    forEachCase(
      lateClock,
      (item, plan, after) => {
        const { world, facts } = item;
        const begin = plan.windowBegin?.getTime() ?? 0;
        const backups = world.catalog.backups.flatMap(({ startTime, stopTime }) => [startTime, stopTime]);
        for (const { id, units } of inUse(item, plan)) {
          const times = [begin, ...units.map(({ time }) => time), ...backups.map((time) => time.getTime())];
          for (const time of times.flatMap((value) => [value - 1, value, value + SECOND])) {
            if (time < begin || time > facts.now.getTime() || !plans(world, id, toTime(time))) continue;
            expect(plans(after, id, toTime(time)), `${id} at ${new Date(time).toISOString()}`).toBe(true);
          }
        }
      },
      40,
    );
  });

  test("keeps all WAL after every backup of the window, wherever replay can go from it", () => {
    forEachCase(anyClock, ({ world, policy }, plan, after) => {
      const newest = keptBackups(plan).filter(
        (verdict) =>
          verdict.verdict === "keep" && verdict.reasons.some(({ kind }) => kind === "last" || kind === "within"),
      );
      if (policy.keepLast === undefined && policy.keepWithinMs === undefined) return;
      for (const { record } of newest) {
        for (const timeline of world.timelines) {
          const before = plans(world, timeline.id, { kind: "immediate" }, record.label);
          if (!before) continue;
          const start = unitOf(record.startLsn);
          const [was, is] = [replay(world, timeline, start), replay(after, timeline, start)];
          expect(is.end, `${record.label} to ${timeline.id}`).toBe(was.end);
          expect(is.read).toEqual(was.read);
        }
      }
    });
  });

  test("leaves every kept backup as restorable as it was, by every way", () => {
    forEachCase(anyClock, ({ world }, plan, after) => {
      const known = knownTimelines(after.catalog);
      for (const { record } of keptBackups(plan)) {
        for (const timeline of known) {
          if (!plans(world, timeline, { kind: "immediate" }, record.label)) continue;
          expect(plans(after, timeline, { kind: "immediate" }, record.label)).toBe(true);
        }
      }
    });
  });

  test("calls a backup restorable exactly when the planner can restore it on its own timeline", () => {
    forEachCase(anyClock, ({ world }, plan) => {
      for (const { record, restorable } of plan.backups) {
        expect(restorable, record.label).toBe(plans(world, record.timeline, { kind: "immediate" }, record.label));
      }
    });
  });

  test("never leaves a cluster without a restorable backup, and keeps the newest one", () => {
    forEachCase(goodClock, (_item, plan) => {
      const restorable = plan.backups.filter((backup) => backup.restorable);
      const newest = restorable.length > 0 ? restorable.slice(-1) : plan.backups;
      expect(newest.every(({ verdict }) => verdict === "keep")).toBe(true);
    });
  });

  test("keeps what each rule names", () => {
    forEachCase(goodClock, ({ facts, policy }, plan) => {
      const restorable = plan.backups.filter((backup) => backup.restorable).toReversed();
      const expectKept = (backup: RetentionPlan["backups"][number]): void => expect(backup.verdict).toBe("keep");
      restorable.slice(0, policy.keepLast ?? 1).forEach(expectKept);
      const within = facts.now.getTime() - (policy.keepWithinMs ?? 0);
      plan.backups.filter(({ record }) => record.stopTime.getTime() > within).forEach(expectKept);
      for (const pin of facts.pins.filter(({ until }) => until === undefined || until > facts.now)) {
        plan.backups.filter(({ record }) => record.label === pin.label).forEach(expectKept);
      }
      const units = [
        ["daily", policy.keepDaily],
        ["weekly", policy.keepWeekly],
        ["monthly", policy.keepMonthly],
        ["yearly", policy.keepYearly],
      ] as const;
      for (const [unit, count = 0] of units) {
        const newest = Map.groupBy(restorable, ({ record }) => periodOf(unit, record.stopTime.getTime()));
        for (const [first] of [...newest.values()].slice(0, count)) if (first !== undefined) expectKept(first);
      }
    });
  });

  test("protects all WAL that a running backup may need from the position that it named", () => {
    forEachCase(anyClock, ({ world, facts }, _plan, after) => {
      for (const { walFrom } of facts.running) {
        if (walFrom === undefined) continue;
        const from = unitOf(walFrom.lsn);
        for (const timeline of world.timelines) {
          const at = timeline.ancestors.findIndex(({ id }) => id === walFrom.timeline);
          const left = timeline.ancestors.slice(at).map((ancestor) => ancestor.left);
          const passes = at >= 0 && timeline.historyArchived && Math.min(...left) >= from;
          if (timeline.id !== walFrom.timeline && !passes) continue;
          expect(replay(after, timeline, from).end, `from ${from} to ${timeline.id}`).toBe(
            replay(world, timeline, from).end,
          );
        }
      }
    });
  });

  test("never lets go of WAL on a timeline in use that no newer backup covers", () => {
    forEachCase(anyClock, (item, plan) => {
      const { world } = item;
      const used = new Set<number>(inUse(item, plan).map(({ id }) => id));
      for (const part of plan.wal) {
        if (part.verdict === "keep" || !used.has(part.timeline)) continue;
        const end = segmentStart(part.last + 1n, MIB);
        const covering = keptBackups(plan).some(
          ({ record, restorable }) =>
            restorable && record.stopLsn >= end && plans(world, part.timeline, { kind: "immediate" }, record.label),
        );
        expect(covering, `${part.timeline}: ${part.first}-${part.last}`).toBe(true);
      }
    });
  });

  test("judges each backup, each segment, each partial and each timeline exactly once", () => {
    forEachCase(anyClock, ({ world: { catalog, files } }, plan) => {
      expect(plan.backups.map(({ record }) => record)).toEqual(catalog.backups);
      const segments = plan.wal.flatMap(({ timeline, first, last }) =>
        range(Number(first), Number(last) + 1).map((segment) => `${timeline}/${segment}`),
      );
      expect(segments.toSorted()).toEqual([...files].toSorted());
      expect(plan.timelines.map(({ timeline }) => timeline)).toEqual(knownTimelines(catalog));
      const reasons = plan.backups.map((backup) => (backup.verdict === "keep" ? backup.reasons : [backup.reason]));
      expect(reasons.every(({ length }) => length > 0)).toBe(true);
    });
  });

  test("expires nothing more when it is asked again", () => {
    forEachCase(anyClock, (item, plan, after) => {
      for (const catalog of [after.catalog, applyToCatalog(item.world.catalog, plan)]) {
        const again = evaluateRetention({ ...item.facts, catalog }, item.policy);
        expect(again.backups.filter(({ verdict }) => verdict === "expire")).toEqual([]);
        expect(again.wal.filter(({ verdict }) => verdict === "expire")).toEqual([]);
        expect(again.timelines.filter(({ verdict }) => verdict === "expire")).toEqual([]);
      }
    });
  });

  test("applies to a catalog as to the archive itself, and never claims that WAL is newer than it is", () => {
    forEachCase(anyClock, (item, plan, after) => {
      const applied = applyToCatalog(item.world.catalog, plan);
      const bare = ({ timeline, first, last }: World["catalog"]["wal"][number]): unknown => ({ timeline, first, last });
      expect(applied.wal.map(bare)).toEqual(after.catalog.wal.map(bare));
      expect(applied.backups).toEqual(after.catalog.backups);
      expect(applied.histories).toEqual(after.catalog.histories);
    });
  });

  test("keeps histories without a gap in their numbers", () => {
    forEachCase(anyClock, (_item, plan) => {
      const gone = plan.timelines.filter(({ verdict }) => verdict === "expire").map(({ timeline }) => timeline);
      const holding = [
        ...keptBackups(plan).map(({ record }) => record),
        ...plan.wal.filter(({ verdict }) => verdict === "keep"),
      ];
      for (const timeline of gone) {
        for (const kept of holding) expect(timeline).toBeLessThan(kept.timeline);
      }
    });
  });
});

describe("the random archives", () => {
  test("meet every verdict and every reason often enough to prove something", () => {
    const seen = new Map<string, number>();
    const see = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
    for (const { facts, policy } of fc.sample(anyClock, { numRuns: 500, seed: 7 })) {
      const plan = evaluateRetention(facts, policy);
      for (const backup of plan.backups) {
        if (backup.verdict === "expire") see(`backup ${backup.reason}`);
        else for (const { kind } of backup.reasons) see(`backup ${kind}`);
      }
      for (const { verdict, reason } of plan.wal) see(`wal ${verdict} ${reason.kind}`);
      for (const { verdict, inUse: used } of plan.timelines) see(`timeline ${verdict} ${used ? "in use" : "left"}`);
    }
    expect(Object.fromEntries([...seen].filter(([, times]) => times < 5))).toEqual({});
    expect([...seen.keys()].toSorted()).toMatchInlineSnapshot(`
      [
        "backup daily",
        "backup in-window",
        "backup last",
        "backup monthly",
        "backup newest",
        "backup none-restorable",
        "backup not-restorable",
        "backup opens-window",
        "backup outside-policy",
        "backup pin",
        "backup weekly",
        "backup within",
        "backup yearly",
        "timeline expire left",
        "timeline keep in use",
        "timeline keep left",
        "wal expire not-needed",
        "wal expire unreachable",
        "wal keep backup",
        "wal keep none-restorable",
        "wal keep running",
        "wal keep uncovered",
        "wal keep window",
      ]
    `);
  });
});
