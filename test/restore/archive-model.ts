import fc from "fast-check";
import { lsn } from "../../src/postgres/lsn.ts";
import type { Lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { TimelineHistory, TimelineId } from "../../src/postgres/timeline.ts";
import type { Catalog, WalInterval } from "../../src/repository/catalog.ts";
import { buildBackup, MIB } from "./archive-builder.ts";

/**
 * A small world in which WAL is made of units instead of bytes, eight to a segment of 1 MiB. Every timeline is the whole list
 * of its units from the first one on, each marked with the timeline that wrote it: two histories are the same up to a point
 * when their lists are. Nothing here knows of legs, owners or runs.
 */
export interface World {
  readonly timelines: readonly WorldTimeline[];
  readonly backups: readonly WorldBackup[];
  /** "timeline/segment" of the files in the archive */
  readonly files: ReadonlySet<string>;
  readonly catalog: Catalog;
  /** how long after its last unit a segment is archived, in milliseconds */
  readonly lag: number;
}

export interface WorldTimeline {
  readonly id: number;
  /** by unit: who wrote it, and when */
  readonly units: readonly Unit[];
  readonly begin: number;
  /** raw, as the history file has it: oldest first */
  readonly ancestors: readonly { readonly id: number; readonly left: number }[];
  readonly historyArchived: boolean;
}

export interface Unit {
  readonly writer: number;
  /** when its one transaction ended, in milliseconds since 1970 */
  readonly time: number;
}

export interface WorldBackup {
  readonly label: string;
  readonly timeline: number;
  readonly start: number;
  /** exclusive */
  readonly stop: number;
}

const UNITS = 8;
const UNIT_BYTES = MIB / UNITS;
const UNIT_TIME = 7_013;

export function unitStart(unit: number): Lsn {
  return lsn(BigInt(unit) * BigInt(UNIT_BYTES));
}

export function unitOf(position: Lsn): number {
  return Number(position / BigInt(UNIT_BYTES));
}

export interface Replay {
  /** the first unit that is not replayed */
  readonly end: number;
  /** at `end` PostgreSQL goes on into another history */
  readonly strayed: boolean;
  /** "timeline/segment" in the order read */
  readonly read: readonly string[];
}

/**
 * What PostgreSQL does from `start` towards timeline `target`: `XLogFileReadAnyTLI` over the target's history file, newest
 * timeline first, never back to an older one than the one being read; unit by unit against the history that is wanted.
 */
export function replay(world: World, target: WorldTimeline, start: number): Replay {
  const newestFirst = expectedTimelines(target).toReversed();
  const read: string[] = [];
  let reading = 0;
  for (let segment = Math.floor(start / UNITS); ; segment += 1) {
    let found: WorldTimeline | undefined;
    for (const { id, begin } of newestFirst) {
      if (id < reading) break;
      if (Math.floor(begin / UNITS) > segment) continue;
      if (!world.files.has(`${id}/${segment}`)) continue;
      found = world.timelines[id - 1];
      break;
    }
    if (found === undefined) return { end: Math.max(start, segment * UNITS), strayed: false, read };
    for (let unit = Math.max(start, segment * UNITS); unit < (segment + 1) * UNITS; unit += 1) {
      if (found.units[unit]?.writer !== target.units[unit]?.writer) return { end: unit, strayed: true, read };
      if (read.at(-1) !== `${found.id}/${segment}`) read.push(`${found.id}/${segment}`);
    }
    reading = found.id;
  }
}

/** `readTimeLineHistory`: a timeline whose history is not there has no ancestors. */
function expectedTimelines(target: WorldTimeline): readonly { readonly id: number; readonly begin: number }[] {
  const ancestors = target.historyArchived ? target.ancestors : [];
  return [...ancestors, { id: target.id, left: 0 }].map(({ id }, index) => ({
    id,
    begin: ancestors[index - 1]?.left ?? 0,
  }));
}

/** Backups that PostgreSQL would take on the way to `target`, and how far replay gets from each. */
export function usableBackups(
  world: World,
  target: WorldTimeline,
): readonly (WorldBackup & { readonly replay: Replay })[] {
  const expected = new Set(expectedTimelines(target).map(({ id }) => id));
  return world.backups
    .filter((backup) => {
      const own = world.timelines[backup.timeline - 1];
      if (own === undefined || !expected.has(backup.timeline)) return false;
      for (let unit = 0; unit < backup.stop; unit += 1) {
        if (own.units[unit]?.writer !== target.units[unit]?.writer) return false;
      }
      return true;
    })
    .map((backup) => ({ ...backup, replay: replay(world, target, backup.start) }));
}

const fraction = fc.integer({ min: 0, max: 999 }).map((value) => value / 1000);

const seeds = fc.record({
  timelines: fc.array(
    fc.record({ parent: fraction, fork: fraction, length: fc.integer({ min: 1, max: 45 }), lostHistory: fraction }),
    { maxLength: 5 },
  ),
  firstLength: fc.integer({ min: 10, max: 60 }),
  backups: fc.array(
    fc.record({ timeline: fraction, start: fraction, length: fc.integer({ min: 1, max: 14 }), standby: fc.boolean() }),
    { minLength: 1, maxLength: 7 },
  ),
  lost: fc.array(fc.record({ file: fraction }), { maxLength: 5 }),
  pruned: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 })),
  lag: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 400_000 })),
});

/** Random histories: forks anywhere, abandoned tails, backups that overlap, lost files, lost histories. */
export const worlds: fc.Arbitrary<World> = seeds.map((seed) => {
  const timelines: WorldTimeline[] = [
    {
      id: 1,
      begin: 0,
      units: write([], 1, seed.firstLength, Date.UTC(2026, 10, 20)),
      ancestors: [],
      historyArchived: true,
    },
  ];
  for (const { parent, fork, length, lostHistory } of seed.timelines) {
    const from = pick(timelines, parent);
    if (from === undefined) continue;
    const begin = 1 + Math.floor(fork * from.units.length);
    const id = timelines.length + 1;
    const inherited = from.units.slice(0, begin);
    const units = write(inherited, id, length, (inherited.at(-1)?.time ?? 0) + 100_003);
    const ancestors = [...from.ancestors, { id: from.id, left: begin }];
    timelines.push({ id, begin, units, ancestors, historyArchived: lostHistory < 0.9 });
  }
  const complete = timelines.flatMap(({ id, begin, units }) =>
    range(Math.floor(begin / UNITS), Math.floor(units.length / UNITS)).map((segment) => `${id}/${segment}`),
  );
  const lost = new Set(seed.lost.map(({ file }) => pick(complete, file)));
  const files = new Set(complete.filter((file) => !lost.has(file) && Number(file.split("/")[1]) >= seed.pruned));
  const backups = seed.backups.flatMap(({ timeline, start, length, standby }, index) => {
    const on = pick(timelines, timeline);
    if (on === undefined || on.units.length === on.begin) return [];
    const first = on.begin + Math.floor(start * (on.units.length - on.begin));
    const stop = Math.min(first + length, on.units.length);
    return [{ label: `b${index}`, timeline: on.id, start: first, stop, standby }];
  });
  const catalog = describeWorld(timelines, backups, files, UNIT_TIME + seed.lag);
  return { timelines, backups, files, catalog, lag: UNIT_TIME + seed.lag };
});

/** When a segment is archived. */
export function archivedAt(
  { timelines, lag }: Pick<World, "timelines" | "lag">,
  timeline: number,
  segment: number,
): Date {
  return new Date((timelines[timeline - 1]?.units[segment * UNITS + UNITS - 1]?.time ?? 0) + lag);
}

function write(inherited: readonly Unit[], writer: number, count: number, since: number): readonly Unit[] {
  return [...inherited, ...range(0, count).map((index) => ({ writer, time: since + index * UNIT_TIME + 1 }))];
}

function describeWorld(
  timelines: readonly WorldTimeline[],
  backups: readonly (WorldBackup & { readonly standby: boolean })[],
  files: ReadonlySet<string>,
  lag: number,
): Catalog {
  const histories = new Map<TimelineId, TimelineHistory>();
  const wal: WalInterval[] = [];
  for (const { id, ancestors, units, historyArchived } of timelines) {
    const timeline = timelineId(id);
    if (historyArchived && ancestors.length > 0) {
      const switches = ancestors.map((a) => ({
        timeline: timelineId(a.id),
        switchPoint: unitStart(a.left),
        reason: "",
      }));
      histories.set(timeline, { timeline, ancestors: switches });
    }
    for (const segment of range(0, Math.floor(units.length / UNITS))) {
      if (!files.has(`${id}/${segment}`)) continue;
      const number = BigInt(segment);
      const archived = archivedAt({ timelines, lag }, id, segment);
      const previous = wal.at(-1);
      const joins = previous?.timeline === timeline && previous.last + 1n === number;
      if (joins) wal[wal.length - 1] = { ...previous, last: number, archivedAt: archived };
      else wal.push({ timeline, first: number, last: number, archivedAt: archived });
    }
  }
  const records = backups.map(({ label, timeline, start, stop, standby }) => {
    const units = timelines[timeline - 1]?.units ?? [];
    const stopTime = new Date((units[stop - 1]?.time ?? 0) + 5_000);
    // a standby begins at its last restart point, which is older than the moment it begins
    const startTime = standby ? stopTime : new Date((units[start]?.time ?? 0) - 1);
    const record = buildBackup({ label, timeline, start: 0, stop: 0, source: standby ? "standby" : "primary" }, MIB);
    return { ...record, startLsn: unitStart(start), stopLsn: unitStart(stop), startTime, stopTime };
  });
  return {
    identity: { majorVersion: 17, systemIdentifier: 7412345678901234567n },
    walSegmentSize: MIB,
    backups: records.toSorted((a, b) => a.stopTime.getTime() - b.stopTime.getTime()),
    histories,
    wal,
    partials: [],
  };
}

function pick<T>(items: readonly T[], part: number): T | undefined {
  return items[Math.floor(part * items.length)];
}

export function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}
