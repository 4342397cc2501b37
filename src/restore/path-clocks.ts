import type { Lsn } from "../postgres/lsn.ts";
import type { Candidate } from "./select-backup.ts";

/**
 * What the clocks of a path's backups say of positions. Times are milliseconds since 1970. Made once for a path, since each
 * of thousands of runs asks.
 */
export interface PathClocks {
  /** starts of primaries' backups, ascending, with the latest start time up to there */
  readonly starts: readonly Mark[];
  /** ends of backups, ascending, with the earliest time past an end from there on */
  readonly ends: readonly Mark[];
}

interface Mark {
  readonly lsn: Lsn;
  readonly time: number;
}

export function pathClocks(candidates: readonly Candidate[]): PathClocks {
  const starts = marks(
    candidates
      .filter(({ backup }) => backup.source === "primary")
      .map(({ backup }) => ({ lsn: backup.startLsn, time: backup.startTime.getTime() })),
  );
  const ends = marks(candidates.map(({ backup, earliestTime }) => ({ lsn: backup.stopLsn, time: earliestTime })));
  return {
    starts: runningBest(starts, Math.max),
    ends: runningBest(ends.toReversed(), Math.min).toReversed(),
  };
}

/** When the latest primary's backup began that began at `end` or before; undefined without any. */
export function latestStartUpTo({ starts }: PathClocks, end: Lsn): number | undefined {
  return starts[firstAfter(starts, end) - 1]?.time;
}

/** The earliest target time of a backup that ends after `end`; undefined without any. */
export function earliestEndAfter({ ends }: PathClocks, end: Lsn): number | undefined {
  return ends[firstAfter(ends, end)]?.time;
}

function marks(unordered: readonly Mark[]): readonly Mark[] {
  return unordered.toSorted((a, b) => (a.lsn < b.lsn ? -1 : a.lsn > b.lsn ? 1 : 0));
}

function runningBest(ordered: readonly Mark[], better: (a: number, b: number) => number): Mark[] {
  let best: number | undefined;
  return ordered.map(({ lsn, time }) => {
    best = best === undefined ? time : better(best, time);
    return { lsn, time: best };
  });
}

/** How many marks lie at `position` or before it. */
function firstAfter(ordered: readonly Mark[], position: Lsn): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ordered[middle]?.lsn ?? position) <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}
