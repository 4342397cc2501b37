import type { Lsn } from "../postgres/lsn.ts";
import { lastSegmentNumberBefore, segmentNumberOfLsn, segmentStart } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { lastOwnedSegment, ownerOfSegment } from "../repository/timeline-path.ts";
import type { PathLeg, TimelinePath } from "../repository/timeline-path.ts";
import { intervalWith } from "../repository/wal-index.ts";
import type { WalIndex } from "../repository/wal-index.ts";
import type { WalNeed } from "./recovery-plan.ts";

export interface SegmentRef {
  readonly timeline: TimelineId;
  readonly number: bigint;
}

/** How far replay gets from one position along a path before it asks for a segment that is not there. */
export interface WalRun {
  /** the position after the last byte that can be replayed; the start itself when its own segment is missing */
  readonly end: Lsn;
  /** the copies that PostgreSQL reads, in order, without a hole */
  readonly pieces: readonly WalNeed[];
  /** the first segment that is not there on the timeline that must have it */
  readonly missing: SegmentRef;
  /** when the last segment was archived; undefined when there is none or when `strays` */
  readonly archivedAt: Date | undefined;
  /**
   * The parent timeline whose own copy of `missing` is there. PostgreSQL falls back to it and replays the parent's WAL beyond
   * the switch point, which is another history. Only a target that surely lies before `end` may use such a run.
   */
  readonly strays: TimelineId | undefined;
}

/** Follows the WAL from `start` along the path to the first hole or to its end. `.partial` segments do not count. */
export function walRun(wal: WalIndex, path: TimelinePath, start: Lsn, segmentSize: number): WalRun {
  const pieces: WalNeed[] = [];
  let segment = segmentNumberOfLsn(start, segmentSize);
  let end = start;
  let archivedAt: Date | undefined;
  for (;;) {
    const owner = ownerOfSegment(path, segment, segmentSize);
    const interval = intervalWith(wal, owner.timeline, segment);
    if (interval === undefined) {
      const missing = { timeline: owner.timeline, number: segment };
      return endOfRun(wal, path, segmentSize, { end, pieces, missing, archivedAt, strays: undefined });
    }
    const lastOwned = lastOwnedSegment(path, owner, segmentSize);
    const last = lastOwned !== undefined && lastOwned < interval.last ? lastOwned : interval.last;
    pieces.push({ timeline: owner.timeline, first: segment, last });
    archivedAt = interval.archivedAt;
    segment = last + 1n;
    end = segmentStart(segment, segmentSize);
  }
}

/** Sees which older copy of the missing segment PostgreSQL would take in its place, and up to where that one is right. */
function endOfRun(wal: WalIndex, path: TimelinePath, segmentSize: number, run: WalRun): WalRun {
  const { number } = run.missing;
  const reading = run.pieces.at(-1)?.timeline;
  const fallback = path.legs.findLast(
    (leg) =>
      leg.timeline !== run.missing.timeline &&
      segmentNumberOfLsn(leg.begin, segmentSize) <= number &&
      intervalWith(wal, leg.timeline, number) !== undefined,
  );
  // once a younger timeline is being read PostgreSQL does not go back to an older one
  if (fallback?.end === undefined || (reading !== undefined && fallback.timeline < reading)) return run;
  const strays = { ...run, archivedAt: undefined, strays: fallback.timeline };
  if (fallback.end <= run.end) return strays;
  const piece = { timeline: fallback.timeline, first: number, last: number };
  return { ...strays, end: fallback.end, pieces: joinPieces([...run.pieces, piece]) };
}

function joinPieces(pieces: readonly WalNeed[]): readonly WalNeed[] {
  const joined: WalNeed[] = [];
  for (const piece of pieces) {
    const previous = joined.at(-1);
    if (previous?.timeline === piece.timeline && previous.last + 1n === piece.first) {
      joined[joined.length - 1] = { ...previous, last: piece.last };
    } else joined.push(piece);
  }
  return joined;
}

/** The part of a run that is read to replay all bytes before `end`. */
export function walNeeds(run: WalRun, end: Lsn, segmentSize: number): readonly WalNeed[] {
  const lastNeeded = lastSegmentNumberBefore(end, segmentSize);
  return run.pieces
    .filter((piece) => piece.first <= lastNeeded)
    .map((piece) => ({ ...piece, last: piece.last < lastNeeded ? piece.last : lastNeeded }));
}

/** The path's first segment after `segment` that is there on the timeline that must have it: WAL beyond a hole. */
export function walBeyond(
  wal: WalIndex,
  path: TimelinePath,
  segment: bigint,
  segmentSize: number,
): SegmentRef | undefined {
  for (const leg of path.legs) {
    const lastOwned = lastOwnedSegment(path, leg, segmentSize);
    const from = largest(segmentNumberOfLsn(leg.begin, segmentSize), segment + 1n);
    const interval = wal.get(leg.timeline)?.find((candidate) => candidate.last >= from);
    if (interval === undefined) continue;
    const number = largest(interval.first, from);
    if (lastOwned === undefined || number <= lastOwned) return { timeline: leg.timeline, number };
  }
  return undefined;
}

/**
 * Up to where the WAL of the path's own timeline is known, as the position after its last segment. A timeline that has
 * begun has at least the segment that it began in, archived or not.
 */
export function knownEnd(wal: WalIndex, { last: leg }: TimelinePath, segmentSize: number): Lsn {
  const first = segmentNumberOfLsn(leg.begin, segmentSize);
  return segmentStart(largest(wal.get(leg.timeline)?.at(-1)?.last ?? first, first) + 1n, segmentSize);
}

/** Whether segments of the timeline at hand were archived at all, from the leg's beginning on. */
export function hasWal(wal: WalIndex, leg: PathLeg, segmentSize: number): boolean {
  return (wal.get(leg.timeline)?.at(-1)?.last ?? -1n) >= segmentNumberOfLsn(leg.begin, segmentSize);
}

function largest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
