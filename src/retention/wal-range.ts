import type { TimelineId } from "../postgres/timeline.ts";
import { lastSegmentNumberBefore, segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import type { BackupRecord } from "../repository/backup-record.ts";

/** Segments `first` to `last` (segment numbers, both included) of one timeline. */
export interface WalRange {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
}

/** The segments from a backup's start to its stop, without which it cannot be restored. */
export function walOfBackup(record: BackupRecord): WalRange {
  return {
    timeline: record.timeline,
    first: segmentNumberOfLsn(record.startLsn, record.walSegmentSize),
    last: lastSegmentNumberBefore(record.stopLsn, record.walSegmentSize),
  };
}

/** What is left of `ranges` without `spared`. */
export function subtractRanges(ranges: readonly WalRange[], spared: readonly WalRange[]): readonly WalRange[] {
  return spared.reduce<readonly WalRange[]>((left, spare) => left.flatMap((range) => subtract(range, spare)), ranges);
}

function subtract(range: WalRange, spare: WalRange): readonly WalRange[] {
  if (range.timeline !== spare.timeline || spare.last < range.first || spare.first > range.last) return [range];
  const before = { ...range, last: spare.first - 1n };
  const after = { ...range, first: spare.last + 1n };
  return [before, after].filter(({ first, last }) => first <= last);
}

/** How many segments there are in `ranges`. */
export function countSegments(ranges: readonly WalRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + Number(last - first + 1n), 0);
}
