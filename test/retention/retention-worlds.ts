import fc from "fast-check";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { TimelineId } from "../../src/postgres/timeline.ts";
import type { BackupRecord } from "../../src/repository/backup-record.ts";
import type { Catalog, WalInterval } from "../../src/repository/catalog.ts";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import type { Pin, RetentionFacts, RetentionPlan, RunningBackup } from "../../src/retention/retention-plan.ts";
import { archivedAt, unitStart, worlds } from "../restore/archive-model.ts";
import type { World } from "../restore/archive-model.ts";

/** A world with a policy to apply to it. */
export interface Case {
  readonly world: World;
  readonly facts: RetentionFacts;
  readonly policy: RetentionPolicy;
  /** by the store's clock */
  readonly archived: (timeline: number, segment: number) => Date;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** One unit of WAL, seven seconds in the planner's model, is about six hours here: windows of days have a meaning. */
const STRETCH = 3000;

const count = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
export const policies: fc.Arbitrary<RetentionPolicy> = fc.record({
  keepLast: count,
  keepWithinMs: fc.option(
    fc.integer({ min: 1, max: 30 * 24 }).map((hours) => hours * HOUR),
    { nil: undefined },
  ),
  keepDaily: count,
  keepWeekly: count,
  keepMonthly: count,
  keepYearly: count,
});

interface Step {
  readonly at: number;
  readonly delta: number;
}

/**
 * Random histories under random policies. The server's clock, which gives transactions and backups their times, may step; the
 * store's, which gives segments theirs, is right.
 *
 * @param steps days that the server's clock is off, between which two it is
 */
export function cases(steps: { readonly min: number; readonly max: number }): fc.Arbitrary<Case> {
  const fraction = fc.integer({ min: 0, max: 999 }).map((value) => value / 1000);
  const step = fc.record({ at: fraction, delta: fc.integer(steps).map((days) => days * DAY) });
  return fc
    .record({
      world: worlds,
      policy: policies,
      steps: fc.array(step, { maxLength: steps.min === steps.max ? 0 : 4 }),
      pins: fc.array(
        fc.record({ of: fraction, until: fc.option(fc.integer({ min: -5, max: 5 }), { nil: undefined }) }),
        {
          maxLength: 2,
        },
      ),
      running: fc.array(fc.record({ timeline: fraction, from: fraction, known: fc.boolean() }), { maxLength: 1 }),
      idle: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 * 24 })),
    })
    .map(({ world: seed, policy, steps: seedSteps, pins, running, idle }) => {
      const world = stretch(seed, seedSteps);
      const times = seed.timelines.flatMap(({ units }) => units.map(({ time }) => time));
      const last = Math.max(...times, ...seed.catalog.backups.map(({ stopTime }) => stopTime.getTime()));
      const now = new Date(stretched(seed, last) + idle * HOUR);
      const { backups } = world.catalog;
      const facts: RetentionFacts = {
        catalog: world.catalog,
        pins: pins.flatMap(({ of, until }): readonly Pin[] => {
          const label = backups[Math.floor(of * backups.length)]?.label;
          if (label === undefined) return [];
          return [{ label, until: until === undefined ? undefined : new Date(now.getTime() + until * DAY) }];
        }),
        running: running.flatMap((at) => runningAt(world, at)),
        now,
      };
      const archived = (id: number, segment: number): Date =>
        new Date(stretched(seed, archivedAt(seed, id, segment).getTime()));
      return { world, facts, policy, archived };
    });
}

function runningAt(
  world: World,
  { timeline, from, known }: { readonly timeline: number; readonly from: number; readonly known: boolean },
): readonly RunningBackup[] {
  const on = world.timelines[Math.floor(timeline * world.timelines.length)];
  if (on === undefined) return [];
  const unit = Math.floor(from * on.units.length);
  const begun = new Date(on.units[unit]?.time ?? 0);
  const walFrom = known ? { timeline: timelineId(on.id), lsn: unitStart(unit) } : undefined;
  return [{ label: "running", begun, walFrom }];
}

/** The first moment of a world. */
function dawn(world: World): number {
  return world.timelines[0]?.units[0]?.time ?? 0;
}

function stretched(world: World, time: number): number {
  const begin = dawn(world);
  return begin + (time - begin) * STRETCH;
}

function stretch(seed: World, seedSteps: readonly Step[]): World {
  const times = seed.timelines.flatMap(({ units }) => units.map(({ time }) => stretched(seed, time)));
  const [begin, end] = [Math.min(...times), Math.max(...times)];
  const steps = seedSteps
    .map(({ at, delta }) => ({ at: begin + at * (end - begin), delta }))
    .toSorted((a, b) => a.at - b.at);
  const clock = (time: number): number => {
    const physical = stretched(seed, time);
    return physical + (steps.findLast(({ at }) => at <= physical)?.delta ?? 0);
  };
  const catalog: Catalog = {
    ...seed.catalog,
    backups: seed.catalog.backups
      .map((backup) => stretchBackup(backup, clock))
      .toSorted((a, b) => a.stopTime.getTime() - b.stopTime.getTime()),
    wal: seed.catalog.wal.map((interval) => ({
      ...interval,
      archivedAt: new Date(stretched(seed, interval.archivedAt.getTime())),
    })),
  };
  const timelines = seed.timelines.map((timeline) => ({
    ...timeline,
    units: timeline.units.map(({ writer, time }) => ({ writer, time: clock(time) })),
  }));
  return { ...seed, timelines, catalog };
}

function stretchBackup(backup: BackupRecord, clock: (time: number) => number): BackupRecord {
  const [start, stop] = [clock(backup.startTime.getTime()), clock(backup.stopTime.getTime())];
  return { ...backup, startTime: new Date(start), stopTime: new Date(stop) };
}

/** The world when all that may go is gone, from the verdicts on its files, apart from `applyToCatalog`. */
export function prunedWorld({ world, archived }: Case, plan: RetentionPlan): World {
  const expired = plan.wal.filter(({ verdict }) => verdict === "expire");
  const files = new Set(
    [...world.files].filter((file) => {
      const [timeline = 0, segment = 0] = file.split("/").map(Number);
      return !expired.some((part) => part.timeline === timeline && part.first <= segment && segment <= part.last);
    }),
  );
  const kept = new Set(plan.backups.filter(({ verdict }) => verdict === "keep").map(({ record }) => record.label));
  const gone = new Set(plan.timelines.filter(({ verdict }) => verdict === "expire").map(({ timeline }) => timeline));
  return {
    ...world,
    files,
    backups: world.backups.filter(({ label }) => kept.has(label)),
    timelines: world.timelines.map((timeline) =>
      gone.has(timelineId(timeline.id)) ? { ...timeline, historyArchived: false } : timeline,
    ),
    catalog: {
      ...world.catalog,
      backups: world.catalog.backups.filter(({ label }) => kept.has(label)),
      histories: new Map([...world.catalog.histories].filter(([timeline]) => !gone.has(timeline))),
      wal: intervalsOf(files, archived),
    },
  };
}

function intervalsOf(files: ReadonlySet<string>, archived: Case["archived"]): readonly WalInterval[] {
  const intervals: WalInterval[] = [];
  const sorted = [...files]
    .map((file) => file.split("/").map(Number))
    .toSorted(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d);
  for (const [id = 0, segment = 0] of sorted) {
    const timeline: TimelineId = timelineId(id);
    const previous = intervals.at(-1);
    const number = BigInt(segment);
    const joins = previous?.timeline === timeline && previous.last + 1n === number;
    const first = joins ? previous.first : number;
    if (joins) intervals.pop();
    intervals.push({ timeline, first, last: number, archivedAt: archived(id, segment) });
  }
  return intervals;
}
