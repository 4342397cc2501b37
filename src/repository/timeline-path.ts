import { lsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import { timelineId } from "../postgres/timeline.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { Catalog } from "./catalog.ts";

/** One timeline's part of the way to a target timeline. */
export interface PathLeg {
  readonly timeline: TimelineId;
  /** where WAL of this timeline begins to count; 0 for the first leg */
  readonly begin: Lsn;
  /** up to where segments of this timeline hold this path's WAL; undefined for the target timeline, which is open */
  readonly end: Lsn | undefined;
}

/** The way that replay takes to a target timeline, oldest leg first; never empty. */
export interface TimelinePath {
  readonly timeline: TimelineId;
  readonly legs: readonly PathLeg[];
  readonly last: PathLeg;
  /** the timeline has ancestors, but its history file is not in the archive */
  readonly historyMissing: boolean;
}

/** Every timeline that the archive knows by a history file, by WAL or by a backup, ascending. */
export function knownTimelines(catalog: Catalog): readonly TimelineId[] {
  const known = new Set<TimelineId>(catalog.histories.keys());
  for (const { timeline } of [...catalog.wal, ...catalog.partials, ...catalog.backups]) known.add(timeline);
  return [...known].toSorted((a, b) => a - b);
}

/**
 * What `recovery_target_timeline = latest` is to mean: the highest timeline that the archive knows by any sign.
 *
 * PostgreSQL (`findNewestTimeLine`, src/backend/access/transam/timeline.c) starts at the backup's timeline and asks for the
 * next higher `.history` file until one is missing. That stops silently at a history file that was never archived and ends
 * recovery on an older branch. So WAL and backups count here too: a timeline that is known by them alone becomes the target
 * and, having no history, refuses, instead of being passed over. The plan names the timeline by number, so PostgreSQL does
 * not search again. Undefined when the archive is empty.
 */
export function latestTimeline(catalog: Catalog): TimelineId | undefined {
  return knownTimelines(catalog).at(-1);
}

/**
 * The legs that lead to `timeline`, as `readTimeLineHistory` and `tliOfPointInHistory` see them: without a history file a
 * timeline has no parents, even when a younger timeline's history names them, for PostgreSQL reads the target's file alone.
 * Switch points may fall (a recovery that ended before its target timeline began): such a leg is empty, and the WAL of the
 * legs before it counts only up to the lowest later switch point.
 */
export function timelinePath(catalog: Catalog, timeline: TimelineId): TimelinePath {
  const history = catalog.histories.get(timeline);
  const switches = history?.ancestors ?? [];
  const last: PathLeg = { timeline, begin: switches.at(-1)?.switchPoint ?? lsn(0n), end: undefined };
  const legs: PathLeg[] = [last];
  let end: Lsn | undefined;
  for (let index = switches.length - 1; index >= 0; index -= 1) {
    const left = switches[index];
    if (left === undefined) continue;
    end = end === undefined || left.switchPoint < end ? left.switchPoint : end;
    legs.unshift({ timeline: left.timeline, begin: switches[index - 1]?.switchPoint ?? lsn(0n), end });
  }
  return { timeline, legs, last, historyMissing: history === undefined && timeline !== timelineId(1) };
}

/** The leg that the byte at `position` lies on: the youngest that has begun by then. */
export function legAt(path: TimelinePath, position: Lsn): PathLeg {
  return path.legs.findLast((leg) => leg.begin <= position) ?? path.last;
}

/**
 * The leg whose copy of a segment PostgreSQL wants first (`XLogFileReadAnyTLI`): the youngest that begins in it or before.
 * A timeline begins with a copy of its parent's WAL up to the switch point, so this copy is right from end to end.
 */
export function ownerOfSegment(path: TimelinePath, segment: bigint, segmentSize: number): PathLeg {
  return path.legs.findLast((leg) => segmentNumberOfLsn(leg.begin, segmentSize) <= segment) ?? path.last;
}

/** The last segment that `owner` owns, or undefined when it owns all that follow. */
export function lastOwnedSegment(path: TimelinePath, owner: PathLeg, segmentSize: number): bigint | undefined {
  const begins = path.legs.slice(path.legs.indexOf(owner) + 1).map((leg) => segmentNumberOfLsn(leg.begin, segmentSize));
  return begins.reduce<bigint | undefined>(
    (low, begin) => (low === undefined || begin - 1n < low ? begin - 1n : low),
    undefined,
  );
}

/** Where `timeline` left the path for good: the youngest timeline that both share, and its end on the way to `timeline`. */
export function forkFromPath(catalog: Catalog, path: TimelinePath, timeline: TimelineId): PathLeg | undefined {
  const onPath = new Set(path.legs.map((leg) => leg.timeline));
  return timelinePath(catalog, timeline).legs.findLast((leg) => onPath.has(leg.timeline) && leg.end !== undefined);
}
