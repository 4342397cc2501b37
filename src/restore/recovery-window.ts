import { lsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { segmentNumberOfLsn, segmentStart } from "../postgres/wal-file-name.ts";
import type { Catalog } from "../repository/catalog.ts";
import type { ReachableMoment, WindowInterval } from "./recovery-plan.ts";
import { lastTargetTime, surveyPath } from "./select-backup.ts";
import type { Candidate, PathFacts } from "./select-backup.ts";
import { knownTimelines, timelinePath } from "../repository/timeline-path.ts";
import { indexWal } from "../repository/wal-index.ts";

/**
 * What can be restored: for each timeline, ascending, the intervals that `--timeline` with its number reaches, oldest first.
 * An interval of a younger timeline includes the part of its ancestors that leads to it.
 */
export function recoveryWindow(catalog: Catalog): readonly WindowInterval[] {
  const wal = indexWal(catalog);
  return knownTimelines(catalog).flatMap((timeline) =>
    windowOfPath(surveyPath(catalog, wal, timelinePath(catalog, timeline))),
  );
}

/** The intervals of one path, oldest first; no two touch, for a hole lies between. */
export function windowOfPath(facts: PathFacts): readonly WindowInterval[] {
  const byEnd = new Map<bigint, Candidate[]>();
  for (const candidate of facts.candidates.toReversed()) {
    if (candidate.run.end < candidate.backup.stopLsn) continue;
    const sameEnd = byEnd.get(candidate.run.end);
    if (sameEnd === undefined) byEnd.set(candidate.run.end, [candidate]);
    else sameEnd.push(candidate);
  }
  return [...byEnd.values()]
    .map((candidates) => intervalOf(facts, candidates))
    .filter((interval) => interval !== undefined)
    .toSorted((a, b) => (a.from.lsn < b.from.lsn ? -1 : 1));
}

/** @param candidates those of one run, oldest end first */
function intervalOf(facts: PathFacts, candidates: readonly Candidate[]): WindowInterval | undefined {
  const oldest = candidates[0];
  if (oldest === undefined) return undefined;
  const { timeline } = facts.path;
  const { stopLsn } = oldest.backup;
  const lastByte = lsn(oldest.run.end - 1n);
  const firstTime = Math.min(...candidates.map(({ earliestTime }) => earliestTime));
  const lastTime = lastTargetTime(facts, oldest.run);
  const hasTimes = lastTime !== undefined && lastTime >= firstTime;
  const opening = candidates.findLast(({ backup }) => backup.stopLsn === stopLsn) ?? oldest;
  return {
    timeline,
    from: { timeline, lsn: stopLsn, time: hasTimes ? new Date(firstTime) : undefined },
    to: { timeline, lsn: lastByte < stopLsn ? stopLsn : lastByte, time: hasTimes ? new Date(lastTime) : undefined },
    backup: opening.backup.label,
  };
}

/** What a refusal can offer on either side of what was asked for. */
export interface Neighbours {
  readonly before: ReachableMoment | undefined;
  readonly after: ReachableMoment | undefined;
}

/** The nearest moments of a path's window on either side of a position. */
export function momentsAround(facts: PathFacts, position: Lsn): Neighbours {
  const window = windowOfPath(facts);
  const before = window.findLast(({ to }) => to.lsn <= position);
  const after = window.find(({ from }) => from.lsn > position);
  return { before: before && sureEnd(facts, before), after: after?.from };
}

/** The nearest moments of a path's window on either side of a time. */
export function momentsAroundTime(facts: PathFacts, time: number): Neighbours {
  const window = windowOfPath(facts);
  const before = window.findLast(({ to }) => to.time !== undefined && to.time.getTime() < time);
  const after = window.find(({ from }) => from.time !== undefined && from.time.getTime() > time);
  return { before: before && sureEnd(facts, before), after: after?.from };
}

/**
 * The end of an interval as a target that recovery surely meets: PostgreSQL must find a record that begins at or after a
 * target LSN, and the last byte of the last segment is seldom followed by one.
 */
function sureEnd({ catalog }: PathFacts, { from, to }: WindowInterval): ReachableMoment {
  const start = segmentStart(segmentNumberOfLsn(to.lsn, catalog.walSegmentSize), catalog.walSegmentSize);
  return { ...to, lsn: start > from.lsn ? start : from.lsn };
}
