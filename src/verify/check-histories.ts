import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName, segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import type { TimelineHistory, TimelineId, TimelineSwitch } from "../postgres/timeline.ts";
import { formatTimeline } from "../postgres/timeline.ts";
import type { Catalog } from "../repository/catalog.ts";
import { knownTimelines } from "../repository/timeline-path.ts";

/** What is wrong with the history of a timeline. */
export interface HistoryFault {
  readonly kind: "missing" | "contradiction";
  readonly timeline: TimelineId;
  /** of which the history cannot be relied on; more than one where nobody can tell which of them is wrong */
  readonly doubtful: readonly TimelineId[];
  /** lower case, without a full stop */
  readonly problem: string;
}

/** Holds the histories of a cluster's timelines against one another, and against where WAL of each begins. */
export function checkHistories(catalog: Catalog, lost: readonly TimelineId[]): readonly HistoryFault[] {
  return [
    ...missingHistories(catalog, lost),
    ...[...catalog.histories.values()].flatMap((history) => [
      ...contradictedByYounger(catalog, history),
      ...contradictedByWal(catalog, history),
    ]),
  ];
}

/**
 * A timeline that is not the first one in the archive leads there from an older one, and only its history says where from. That
 * of the first may have been archived elsewhere, before this archive was begun.
 */
function missingHistories(catalog: Catalog, lost: readonly TimelineId[]): readonly HistoryFault[] {
  const known = knownTimelines(catalog);
  return known
    .slice(1)
    .filter((timeline) => !catalog.histories.has(timeline) && !lost.includes(timeline))
    .map((timeline) => ({
      kind: "missing",
      timeline,
      doubtful: [timeline],
      problem: `there is no history of timeline ${timeline}, so nothing leads there from timeline ${known[0] ?? 1}`,
    }));
}

/** PostgreSQL copies the history of the timeline that is left and adds a line: what both tell must be the same. */
function contradictedByYounger(catalog: Catalog, { timeline, ancestors }: TimelineHistory): readonly HistoryFault[] {
  const others = [...catalog.histories.values()].flatMap((younger) => {
    const at = younger.ancestors.findIndex((ancestor) => ancestor.timeline === timeline);
    const same = at < 0 || sameSwitches(ancestors, younger.ancestors.slice(0, at));
    return same ? [] : [younger.timeline];
  });
  return others.map((other) => ({
    kind: "contradiction",
    timeline,
    doubtful: [timeline, other],
    problem: `it tells another past of timeline ${timeline} than ${formatTimeline(other)}.history does`,
  }));
}

function sameSwitches(a: readonly TimelineSwitch[], b: readonly TimelineSwitch[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ timeline, switchPoint }, i) => b[i]?.timeline === timeline && b[i].switchPoint === switchPoint)
  );
}

/** WAL of a timeline begins with the segment that its parent was left in. */
function contradictedByWal(catalog: Catalog, { timeline, ancestors }: TimelineHistory): readonly HistoryFault[] {
  const parent = ancestors.at(-1);
  const first = catalog.wal.find((interval) => interval.timeline === timeline)?.first;
  if (parent === undefined || first === undefined) return [];
  if (first >= segmentNumberOfLsn(parent.switchPoint, catalog.walSegmentSize)) return [];
  const name = segmentFileName(timeline, first, catalog.walSegmentSize);
  const left = `timeline ${parent.timeline} was left at ${formatLsn(parent.switchPoint)}`;
  return [
    {
      kind: "contradiction",
      timeline,
      doubtful: [timeline],
      problem: `it says that ${left}, and there is ${name}, from before`,
    },
  ];
}
