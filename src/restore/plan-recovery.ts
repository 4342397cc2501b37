import { formatLsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog } from "../repository/catalog.ts";
import { reachTarget } from "./reach-target.ts";
import type { Obstacle, Reach } from "./reach-target.ts";
import type { RecoveryPlan, RecoveryRefusal, RecoveryRequest, RecoveryTarget, SkippedBackup } from "./recovery-plan.ts";
import {
  refuseBeforeWindow,
  refuseNoBackup,
  refuseObstacle,
  refuseRejected,
  refuseTooLate,
  refuseUnknownBackup,
  refuseUnknownTimeline,
  refuseUnreachable,
} from "./recovery-refusal.ts";
import { endsBeforeTarget, surveyPath, targetIsInside } from "./select-backup.ts";
import type { Candidate, PathFacts } from "./select-backup.ts";
import { knownTimelines, latestTimeline, legAt, timelinePath } from "../repository/timeline-path.ts";
import { indexWal } from "../repository/wal-index.ts";
import { walNeeds } from "./wal-coverage.ts";

/**
 * Decides from which backup, along which timelines and over which WAL a target is recovered, or refuses with a reason and the
 * nearest moments that can be had. Pure: reads nothing but its arguments, throws nothing. `docs/planner.md` has the rules.
 */
export function planRecovery(catalog: Catalog, request: RecoveryRequest): RecoveryPlan | RecoveryRefusal {
  const { target } = request;
  if (catalog.backups.length === 0) return refuseNoBackup(catalog);
  const named = catalog.backups.find(({ label }) => label === request.backup);
  if (request.backup !== undefined && named === undefined) return refuseUnknownBackup(catalog, request.backup);
  const timeline = targetTimeline(catalog, request, named);
  if (timeline === undefined) return refuseNoBackup(catalog);
  if (!knownTimelines(catalog).includes(timeline)) return refuseUnknownTimeline(catalog, timeline);

  const facts = surveyPath(catalog, indexWal(catalog), timelinePath(catalog, timeline));
  if (named !== undefined) return planFromNamed(facts, target, named);
  const pool = facts.candidates.filter(({ backup }) => request.timeline !== "current" || backup.timeline === timeline);
  if (pool.length === 0) return refuseUnreachable(facts);
  return planFromBest(facts, target, pool);
}

/** `current` is the timeline of the backup itself: of the named one, else of the newest that ends before the target. */
function targetTimeline(
  catalog: Catalog,
  { target, timeline }: RecoveryRequest,
  named: BackupRecord | undefined,
): TimelineId | undefined {
  if (timeline === "latest") return latestTimeline(catalog);
  if (timeline !== "current") return timeline;
  const newest = catalog.backups.toSorted((a, b) => b.stopTime.getTime() - a.stopTime.getTime());
  return (named ?? newest.find((backup) => endsBeforeTarget(backup, target)) ?? newest[0])?.timeline;
}

function planFromNamed(facts: PathFacts, target: RecoveryTarget, named: BackupRecord): RecoveryPlan | RecoveryRefusal {
  const rejected = facts.rejected.find(({ label }) => label === named.label);
  if (rejected !== undefined) return refuseRejected(facts, rejected);
  const candidate = facts.candidates.find(({ backup }) => backup.label === named.label);
  if (candidate === undefined || !endsBeforeTarget(named, target)) return refuseTooLate(facts, named, target);
  const reached = reachTarget(facts, candidate, target);
  if (reached.kind === "reach") return makePlan(facts, candidate, target, reached, []);
  const other = planFromBest(facts, target, facts.candidates);
  const otherBackup = other.kind === "plan" ? other.backup.label : undefined;
  return refuseObstacle(facts, target, reached, { otherBackup, skipped: [] });
}

/**
 * Takes the newest backup that ends before the target and from which WAL leads there. An older one needs all the WAL that a
 * newer one needs, unless their spans overlap: a long backup that began early may end last, and a hole in its span leaves a
 * shorter one usable. So all are tried, newest end first, and the plan says which were passed over.
 */
function planFromBest(
  facts: PathFacts,
  target: RecoveryTarget,
  pool: readonly Candidate[],
): RecoveryPlan | RecoveryRefusal {
  const skipped: SkippedBackup[] = pool
    .filter(({ backup }) => targetIsInside(backup, target))
    .map(({ backup }) => ({ label: backup.label, reason: insideReason(backup) }));
  const fit = pool.filter(({ backup }) => endsBeforeTarget(backup, target));
  let first: Obstacle | undefined;
  for (const candidate of fit) {
    const reached = reachTarget(facts, candidate, target);
    if (reached.kind === "reach") {
      const passed = facts.rejected.filter(({ backup }) => backup.stopTime > candidate.backup.stopTime);
      const abandoned = passed.map(({ label, reason }) => ({ label, reason }));
      return makePlan(facts, candidate, target, reached, [...skipped, ...abandoned]);
    }
    first ??= reached;
    skipped.push({ label: candidate.backup.label, reason: reached.message });
  }
  if (first === undefined) return refuseBeforeWindow(facts, target, skipped);
  return refuseObstacle(facts, target, first, { otherBackup: undefined, skipped });
}

function makePlan(
  facts: PathFacts,
  { backup, run }: Candidate,
  target: RecoveryTarget,
  reached: Reach,
  skipped: readonly SkippedBackup[],
): RecoveryPlan {
  const wal = walNeeds(run, reached.end, facts.catalog.walSegmentSize);
  const segments = wal.reduce((sum, { first, last }) => sum + Number(last - first) + 1, 0);
  return {
    kind: "plan",
    backup,
    target,
    timeline: facts.path.timeline,
    path: timelinesBetween(facts, backup.startLsn, reached.end),
    wal,
    segments,
    bytes: backup.bytes,
    proven: [
      `backup ${backup.label} is consistent from ${formatLsn(backup.stopLsn)} (${backup.stopTime.toISOString()})`,
      ...leavings(facts, backup.startLsn, reached.end),
      coverage(facts, wal, segments),
      ...reached.proven,
    ],
    unproven: [...reached.unproven, "whether the segments are whole: they were listed, not read"],
    skipped,
  };
}

/** The timelines that replay from `start` to `end` is on, oldest first. */
function timelinesBetween({ path }: PathFacts, start: Lsn, end: Lsn): readonly TimelineId[] {
  const first = path.legs.indexOf(legAt(path, start));
  return path.legs
    .filter((leg, index) => index >= first && leg.begin < end && (leg.end === undefined || leg.end > leg.begin))
    .map((leg) => leg.timeline);
}

function leavings({ path }: PathFacts, start: Lsn, end: Lsn): readonly string[] {
  return path.legs
    .filter((leg) => leg.end !== undefined && leg.end > start && leg.end < end && leg.end > leg.begin)
    .map(
      (leg) =>
        `timeline ${leg.timeline} is left at ${formatLsn(leg.end ?? leg.begin)}, as the history of ${path.timeline} says`,
    );
}

function coverage({ catalog }: PathFacts, wal: RecoveryPlan["wal"], segments: number): string {
  const [first, last] = [wal[0], wal.at(-1)];
  if (first === undefined || last === undefined) return "no WAL is needed";
  const from = segmentFileName(first.timeline, first.first, catalog.walSegmentSize);
  if (segments === 1) return `the one WAL segment needed, ${from}, is in the archive`;
  return `all ${segments} WAL segments from ${from} to ${segmentFileName(last.timeline, last.last, catalog.walSegmentSize)} are in the archive`;
}

function insideReason(backup: BackupRecord): string {
  const span = `${formatLsn(backup.startLsn)} to ${formatLsn(backup.stopLsn)}`;
  return `the target lies inside it (${span}), and it is consistent only from its end`;
}
