import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { planRecovery } from "../../src/restore/plan-recovery.ts";
import type {
  ReachableMoment,
  RecoveryPlan,
  RecoveryRefusal,
  RecoveryTarget,
} from "../../src/restore/recovery-plan.ts";
import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import { earliestTargetTime } from "../../src/restore/select-backup.ts";
import { range, replay, unitOf, unitStart, usableBackups, worlds } from "./archive-model.ts";
import type { World, WorldTimeline } from "./archive-model.ts";

const RUNS = { numRuns: 60 };

function toLsn(position: bigint): RecoveryTarget {
  return { kind: "lsn", lsn: lsn(position), inclusive: true };
}

function toTime(time: number): RecoveryTarget {
  return { kind: "time", time: new Date(time), text: "", inclusive: true };
}

function ask(world: World, timeline: number, target: RecoveryTarget, backup?: string): RecoveryPlan | RecoveryRefusal {
  return planRecovery(world.catalog, { target, timeline: timelineId(timeline), backup });
}

function segmentsOf(plan: RecoveryPlan): readonly string[] {
  return plan.wal.flatMap(({ timeline, first, last }) =>
    range(Number(first), Number(last) + 1).map((segment) => `${timeline}/${segment}`),
  );
}

/** Timelines that the archive knows at all; on others the answer is `unknown-timeline`. */
function asked(world: World): readonly WorldTimeline[] {
  const { catalog } = world;
  return world.timelines.filter(
    ({ id }) =>
      catalog.histories.has(timelineId(id)) ||
      [...catalog.wal, ...catalog.backups].some(({ timeline }) => timeline === id),
  );
}

function forEachTimeline(check: (world: World, timeline: WorldTimeline) => void): void {
  fc.assert(
    fc.property(worlds, (world) => {
      fc.pre(world.backups.length > 0);
      for (const timeline of asked(world)) check(world, timeline);
    }),
    RUNS,
  );
}

/** The first target time that is past a backup's end, whole seconds aside. */
function endTime(world: World, timeline: WorldTimeline, stop: number): number {
  const records = world.catalog.backups.filter((record) => record.stopLsn === unitStart(stop));
  return Math.max(timeline.units[stop - 1]?.time ?? 0, ...records.map(earliestTargetTime));
}

/** Whatever is planned: its segments are there, and they are the ones that PostgreSQL reads first. */
function expectSound(world: World, timeline: WorldTimeline, plan: RecoveryPlan): void {
  const usable = usableBackups(world, timeline).find(({ label }) => label === plan.backup.label);
  expect(usable, `${plan.backup.label} is usable`).toBeDefined();
  const segments = segmentsOf(plan);
  expect(segments).toEqual(usable?.replay.read.slice(0, segments.length));
  expect(segments.length).toBe(plan.segments);
  expect(usable?.replay.end).toBeGreaterThanOrEqual(usable?.stop ?? Infinity);
}

describe("planRecovery over random archives", () => {
  test("an LSN is planned exactly when some backup can be replayed to it, and from the newest such", () => {
    forEachTimeline((world, timeline) => {
      const usable = usableBackups(world, timeline);
      for (const unit of range(0, timeline.units.length + 12)) {
        const fit = usable.filter((backup) => backup.stop <= unit && backup.replay.end > unit);
        for (const position of [unitStart(unit), unitStart(unit + 1) - 1n]) {
          const answer = ask(world, timeline.id, toLsn(position));
          expect(answer.kind, `${timeline.id}:${unit}`).toBe(fit.length > 0 ? "plan" : "refusal");
          if (answer.kind === "refusal") continue;
          expectSound(world, timeline, answer);
          expect(unitOf(answer.backup.stopLsn)).toBe(Math.max(...fit.map(({ stop }) => stop)));
          expect(answer.wal.at(-1)?.last).toBe(BigInt(Math.floor(unit / 8)));
        }
      }
    });
  });

  test("a named backup is planned exactly when it can be replayed to the LSN", () => {
    forEachTimeline((world, timeline) => {
      const usable = usableBackups(world, timeline);
      for (const { label } of world.backups) {
        for (const unit of range(0, timeline.units.length + 2)) {
          const fits = usable.some((b) => b.label === label && b.stop <= unit && b.replay.end > unit);
          expect(ask(world, timeline.id, toLsn(unitStart(unit)), label).kind).toBe(fits ? "plan" : "refusal");
        }
      }
    });
  });

  test("immediate is planned exactly when some backup has its own WAL", () => {
    forEachTimeline((world, timeline) => {
      const fit = usableBackups(world, timeline).filter(({ stop, replay: { end } }) => end >= stop);
      const answer = ask(world, timeline.id, { kind: "immediate" });
      expect(answer.kind).toBe(fit.length > 0 ? "plan" : "refusal");
      if (answer.kind === "refusal") return;
      expectSound(world, timeline, answer);
      expect(unitOf(answer.backup.stopLsn)).toBe(Math.max(...fit.map(({ stop }) => stop)));
    });
  });

  test("latest is planned exactly when replay reads the timeline's last archived segment and ends there", () => {
    forEachTimeline((world, timeline) => {
      const segments = [...world.files].map((file) => file.split("/").map(Number));
      const last = Math.max(...segments.filter(([id]) => id === timeline.id).map(([, segment]) => segment ?? 0));
      const fit = usableBackups(world, timeline).filter(
        (backup) => !backup.replay.strayed && backup.replay.end === (last + 1) * 8 && backup.stop <= backup.replay.end,
      );
      const answer = ask(world, timeline.id, { kind: "latest" });
      expect(answer.kind).toBe(fit.length > 0 ? "plan" : "refusal");
      if (answer.kind === "plan") expectSound(world, timeline, answer);
    });
  });

  test("a transaction is looked for over all WAL that follows, unless PostgreSQL would stray into another history", () => {
    forEachTimeline((world, timeline) => {
      const usable = usableBackups(world, timeline);
      const fit = usable.filter(({ stop, replay: { end, strayed } }) => end >= stop && !strayed);
      const answer = ask(world, timeline.id, { kind: "xid", xid: "1234", inclusive: true });
      expect(answer.kind).toBe(fit.length > 0 ? "plan" : "refusal");
      if (answer.kind === "refusal") return;
      expectSound(world, timeline, answer);
      const chosen = usable.find(({ label }) => label === answer.backup.label);
      expect(segmentsOf(answer)).toEqual(chosen?.replay.read);
    });
  });

  test("a time is planned whenever replay meets it, never from inside a backup, never where another history would be met", () => {
    forEachTimeline((world, timeline) => {
      const usable = usableBackups(world, timeline);
      for (const { time } of timeline.units) {
        for (const target of [time, time + 3_500]) {
          const answer = ask(world, timeline.id, toTime(target));
          // PostgreSQL stops at the first transaction that ended after the target
          const stopsAt = timeline.units.findIndex((unit) => unit.time > target);
          const met = usable.some((backup) => {
            const record = world.catalog.backups.find(({ label }) => label === backup.label);
            if (record === undefined || target < earliestTargetTime(record)) return false;
            return stopsAt >= 0 && backup.replay.end > stopsAt && !backup.replay.strayed;
          });
          expect(met && answer.kind === "refusal", "refused what can be met").toBe(false);
          if (answer.kind === "refusal") continue;
          expectSound(world, timeline, answer);
          const chosen = usable.find(({ label }) => label === answer.backup.label);
          expect(timeline.units.slice(0, chosen?.stop).every((unit) => unit.time <= target)).toBe(true);
          const covered = timeline.units.filter((unit) => unit.time <= target).length;
          const claims = answer.proven.join().includes("all WAL up to the target is there");
          const needed = claims || chosen?.replay.strayed === true ? covered : 0;
          expect(chosen?.replay.end).toBeGreaterThanOrEqual(needed);
          // no backup that ended before the target lies behind the end of this one's WAL
          const passed = usable.filter(
            ({ stop }) => timeline.units[stop - 1] !== undefined && endTime(world, timeline, stop) <= target,
          );
          expect(chosen?.replay.end).toBeGreaterThanOrEqual(Math.max(0, ...passed.map(({ stop }) => stop)));
        }
      }
    });
  });
});

describe("recoveryWindow over random archives", () => {
  test("holds exactly the LSNs that can be planned", () => {
    forEachTimeline((world, timeline) => {
      const window = recoveryWindow(world.catalog).filter((interval) => interval.timeline === timeline.id);
      for (const unit of range(0, timeline.units.length + 12)) {
        const position = unitStart(unit);
        // a window of one point, where WAL ends with the backup, is for `immediate` alone
        const holds = window.some(({ from, to }) => from.lsn <= position && position <= to.lsn && from.lsn < to.lsn);
        expect(ask(world, timeline.id, toLsn(position)).kind).toBe(holds ? "plan" : "refusal");
      }
    });
  });

  test("has ends that are right to the byte and to the millisecond", () => {
    forEachTimeline((world, timeline) => {
      for (const { from, to, backup } of recoveryWindow(world.catalog)) {
        if (from.timeline !== timeline.id) continue;
        expect(ask(world, timeline.id, { kind: "immediate" }, backup).kind).toBe("plan");
        const ends = from.lsn < to.lsn ? [from.lsn, to.lsn] : [];
        for (const inside of ends) expect(ask(world, timeline.id, toLsn(inside)).kind).toBe("plan");
        for (const outside of [from.lsn - 1n, to.lsn + 1n]) {
          expect(ask(world, timeline.id, toLsn(outside)).kind).toBe("refusal");
        }
        if (from.time === undefined || to.time === undefined) continue;
        const [first, last] = [from.time.getTime(), to.time.getTime()];
        for (const inside of [first, Math.floor((first + last) / 2), last]) {
          expect(ask(world, timeline.id, toTime(inside)).kind).toBe("plan");
        }
      }
    });
  });

  test("holds exactly the times that can be planned", () => {
    forEachTimeline((world, timeline) => {
      const window = recoveryWindow(world.catalog).filter((interval) => interval.timeline === timeline.id);
      const times = window.flatMap(({ from, to }) => [from.time, to.time].filter((time) => time !== undefined));
      const nearby = times.flatMap((time) => [-1, 0, 1].map((shift) => time.getTime() + shift));
      for (const time of [...timeline.units.map((unit) => unit.time), ...nearby]) {
        const holds = window.some(
          ({ from, to }) => from.time !== undefined && from.time.getTime() <= time && time <= (to.time?.getTime() ?? 0),
        );
        expect(ask(world, timeline.id, toTime(time)).kind, String(time)).toBe(holds ? "plan" : "refusal");
      }
    });
  });
});

describe("refusals over random archives", () => {
  function expectPlans(world: World, moment: ReachableMoment): void {
    const { timeline, lsn: position, time } = moment;
    const single = recoveryWindow(world.catalog).find(
      ({ from, to }) => from.timeline === timeline && from.lsn === position && to.lsn === position,
    );
    const target: RecoveryTarget = single === undefined ? toLsn(position) : { kind: "immediate" };
    expect(ask(world, timeline, target, single?.backup).kind).toBe("plan");
    if (time === undefined) return;
    expect(ask(world, timeline, toTime(time.getTime())).kind).toBe("plan");
  }

  test("offer moments before and after that can be planned", () => {
    forEachTimeline((world, timeline) => {
      const targets: RecoveryTarget[] = [
        { kind: "latest" },
        { kind: "xid", xid: "1234", inclusive: true },
        ...range(0, timeline.units.length + 12).map((unit) => toLsn(unitStart(unit))),
        ...timeline.units.map(({ time }) => toTime(time)),
      ];
      for (const target of targets) {
        const answer = ask(world, timeline.id, target);
        if (answer.kind === "plan") continue;
        if (answer.before !== undefined) expectPlans(world, answer.before);
        if (answer.after !== undefined) expectPlans(world, answer.after);
        expect(answer.reason === "wal-missing").toBe(/^[0-9A-F]{24}$/.test(answer.missingSegment ?? ""));
        if (target.kind !== "lsn") continue;
        expect((answer.before?.lsn ?? 0n) <= target.lsn).toBe(true);
        expect((answer.after?.lsn ?? target.lsn + 1n) > target.lsn).toBe(true);
      }
    });
  });

  test("never name a missing segment that is there", () => {
    forEachTimeline((world, timeline) => {
      for (const unit of range(0, timeline.units.length + 12)) {
        const answer = ask(world, timeline.id, toLsn(unitStart(unit)));
        if (answer.kind === "plan" || answer.missingSegment === undefined) continue;
        const id = Number.parseInt(answer.missingSegment.slice(0, 8), 16);
        const segment = Number.parseInt(answer.missingSegment.slice(16), 16);
        expect(world.files.has(`${id}/${segment}`)).toBe(false);
      }
    });
  });
});

describe("the model itself", () => {
  test("meets holes, strays and abandoned backups often enough to prove something", () => {
    const seen = { planned: 0, refused: 0, strayed: 0, abandoned: 0, crossed: 0, falling: 0 };
    for (const world of fc.sample(worlds, { numRuns: 300, seed: 7 })) {
      for (const timeline of asked(world)) {
        const answer = ask(world, timeline.id, { kind: "latest" });
        seen[answer.kind === "plan" ? "planned" : "refused"] += 1;
        if (answer.kind === "plan" && answer.path.length > 1) seen.crossed += 1;
        if (answer.skipped.length > 0) seen.abandoned += 1;
        if (world.backups.some((backup) => replay(world, timeline, backup.start).strayed)) seen.strayed += 1;
        if (timeline.ancestors.some(({ left }, index) => left < (timeline.ancestors[index - 1]?.left ?? 0)))
          seen.falling += 1;
      }
    }
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(30);
  });
});
