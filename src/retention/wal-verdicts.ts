import { segmentStart } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog, WalInterval } from "../repository/catalog.ts";
import { disjointPieces } from "./disjoint-pieces.ts";
import type { KeptPiece } from "./disjoint-pieces.ts";
import type { PartialVerdict, SegmentVerdict, WalVerdict } from "./retention-plan.ts";
import type { WalNeeded } from "./wal-needed.ts";

/** What one timeline's segments are judged by. */
interface TimelineFacts {
  /** disjoint, ascending */
  readonly kept: readonly KeptPiece[];
  readonly lastArchived: Date | undefined;
  /** by where they end */
  readonly backups: readonly BackupRecord[];
}

/** Judges every segment and every `.partial` of the catalog: what nobody needs may go. */
export function judgeWal(
  catalog: Catalog,
  needed: readonly WalNeeded[],
): { readonly wal: readonly WalVerdict[]; readonly partials: readonly PartialVerdict[] } {
  const factsOf = factsByTimeline(catalog, needed);
  return {
    wal: catalog.wal.flatMap((interval) => cutInterval(factsOf(interval.timeline), interval, catalog.walSegmentSize)),
    partials: catalog.partials.map((partial) => ({
      ...partial,
      ...verdictAt(factsOf(partial.timeline), partial.segment),
    })),
  };
}

function factsByTimeline(catalog: Catalog, needed: readonly WalNeeded[]): (timeline: TimelineId) => TimelineFacts {
  const ranges = Map.groupBy(needed, ({ timeline }) => timeline);
  const backups = Map.groupBy(catalog.backups, ({ timeline }) => timeline);
  const lastArchived = new Map(catalog.wal.map(({ timeline, archivedAt }) => [timeline, archivedAt]));
  const facts = new Map<TimelineId, TimelineFacts>();
  return (timeline) => {
    const known = facts.get(timeline) ?? {
      kept: disjointPieces(ranges.get(timeline) ?? []),
      lastArchived: lastArchived.get(timeline),
      backups: (backups.get(timeline) ?? []).toSorted((a, b) => (a.stopLsn < b.stopLsn ? -1 : 1)),
    };
    facts.set(timeline, known);
    return known;
  };
}

/** An interval of the catalog in parts of one verdict and one reason each. */
function cutInterval(facts: TimelineFacts, interval: WalInterval, segmentSize: number): readonly WalVerdict[] {
  const { timeline } = interval;
  const parts: WalVerdict[] = [];
  let first = interval.first;
  while (first <= interval.last) {
    const piece = firstEndingAt(facts.kept, first);
    const end = piece !== undefined && piece.first > first ? piece.first - 1n : piece?.last;
    const last = end === undefined || end > interval.last ? interval.last : end;
    const archivedAt =
      last === interval.last ? interval.archivedAt : archivedNotBefore(facts, interval, last, segmentSize);
    parts.push({ timeline, first, last, archivedAt, ...verdictAt(facts, first) });
    first = last + 1n;
  }
  return parts;
}

function verdictAt({ kept, lastArchived }: TimelineFacts, segment: bigint): SegmentVerdict {
  const piece = firstEndingAt(kept, segment);
  if (piece === undefined) return { verdict: "expire", reason: { kind: "unreachable", lastArchived } };
  const { first, reason } = piece;
  if (first <= segment) return { verdict: "keep", reason };
  return { verdict: "expire", reason: { kind: "not-needed", next: "backup" in reason ? reason.backup : undefined } };
}

/** The first piece that does not end before the segment: the one that holds it, or the next one. */
function firstEndingAt(pieces: readonly KeptPiece[], segment: bigint): KeptPiece | undefined {
  return pieces[countWhile(pieces, ({ last }) => last !== undefined && last < segment)];
}

/** When `last` was archived is known for whole intervals alone. A backup that ended in it or before it tells a bound. */
function archivedNotBefore(
  { backups }: TimelineFacts,
  { archivedAt }: WalInterval,
  last: bigint,
  segmentSize: number,
): Date {
  const end = segmentStart(last + 1n, segmentSize);
  const stop = backups[countWhile(backups, ({ stopLsn }) => stopLsn <= end) - 1]?.stopTime ?? new Date(0);
  return stop < archivedAt ? stop : archivedAt;
}

/** How many items, from the first on, pass a test that none passes behind the first that fails. */
function countWhile<T>(items: readonly T[], passes: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && passes(item)) low = middle + 1;
    else high = middle;
  }
  return low;
}
