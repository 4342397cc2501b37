import { lastSegmentNumberBefore, segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog, WalInterval } from "../repository/catalog.ts";
import { surveyPath } from "./select-backup.ts";
import { knownTimelines, lastOwnedSegment, ownerOfSegment, timelinePath } from "../repository/timeline-path.ts";
import type { TimelinePath } from "../repository/timeline-path.ts";
import { indexWal } from "../repository/wal-index.ts";
import { hasWal } from "./wal-coverage.ts";
import type { WalIndex } from "../repository/wal-index.ts";

/** Segments `first` to `last` (segment numbers, both included) of one timeline: needed, and all missing. */
export interface WalHole {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * The WAL that should be in the archive and is not: what any backup needs from its start to its stop, and on the way to every
 * timeline what lies between the start of the first backup on that way and the last segment there is. By timeline, then by
 * segment. A timeline of which no segment was archived yet has no hole of its own.
 */
export function findWalHoles(catalog: Catalog): readonly WalHole[] {
  const wal = indexWal(catalog);
  const size = catalog.walSegmentSize;
  const holes: WalHole[] = [];
  for (const timeline of knownTimelines(catalog)) {
    const path = timelinePath(catalog, timeline);
    const starts = surveyPath(catalog, wal, path).candidates.map(({ backup }) => backup.startLsn);
    if (starts.length === 0) continue;
    const start = starts.reduce(least);
    holes.push(...holesBetween(wal, path, segmentNumberOfLsn(start, size), lastNeeded(wal, path, size), size));
  }
  for (const backup of catalog.backups) holes.push(...holesOfBackup(catalog, wal, backup));
  return merge(holes);
}

/** The part of a backup's own WAL, start to stop, that is missing. */
export function holesOfBackup(catalog: Catalog, wal: WalIndex, backup: BackupRecord): readonly WalHole[] {
  const size = catalog.walSegmentSize;
  const first = segmentNumberOfLsn(backup.startLsn, size);
  const last = lastSegmentNumberBefore(backup.stopLsn, size);
  return holesBetween(wal, timelinePath(catalog, backup.timeline), first, last, size);
}

/** The last segment of the path's own timeline, or, where none was archived yet, the last one before it began. */
function lastNeeded(wal: WalIndex, { last: leg }: TimelinePath, segmentSize: number): bigint {
  if (hasWal(wal, leg, segmentSize)) return wal.get(leg.timeline)?.at(-1)?.last ?? -1n;
  return segmentNumberOfLsn(leg.begin, segmentSize) - 1n;
}

/** Goes from interval to interval, not from segment to segment. */
function holesBetween(wal: WalIndex, path: TimelinePath, first: bigint, last: bigint, size: number): WalHole[] {
  const holes: WalHole[] = [];
  for (let segment = first; segment <= last;) {
    const owner = ownerOfSegment(path, segment, size);
    const legEnd = least(lastOwnedSegment(path, owner, size) ?? last, last);
    const intervals = wal.get(owner.timeline) ?? [];
    for (let index = firstFrom(intervals, segment); index < intervals.length; index++) {
      const interval = intervals[index];
      if (interval === undefined || interval.first > legEnd || segment > legEnd) break;
      if (interval.first > segment) {
        holes.push({ timeline: owner.timeline, first: segment, last: interval.first - 1n });
      }
      segment = interval.last + 1n;
    }
    if (segment <= legEnd) holes.push({ timeline: owner.timeline, first: segment, last: legEnd });
    segment = legEnd + 1n;
  }
  return holes;
}

/** The index of the first interval that does not end before `segment`. */
function firstFrom(intervals: readonly WalInterval[], segment: bigint): number {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((intervals[middle]?.last ?? 0n) < segment) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merge(holes: readonly WalHole[]): readonly WalHole[] {
  const ordered = holes.toSorted((a, b) =>
    a.timeline !== b.timeline ? a.timeline - b.timeline : a.first < b.first ? -1 : a.first > b.first ? 1 : 0,
  );
  const merged: WalHole[] = [];
  for (const hole of ordered) {
    const before = merged.at(-1);
    if (before?.timeline === hole.timeline && hole.first <= before.last + 1n) {
      merged[merged.length - 1] = { ...before, last: hole.last > before.last ? hole.last : before.last };
    } else merged.push(hole);
  }
  return merged;
}

function least<T extends bigint>(a: T, b: T): T {
  return a < b ? a : b;
}
