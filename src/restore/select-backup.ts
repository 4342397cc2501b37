import { formatLsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog } from "../repository/catalog.ts";
import { earliestEndAfter, latestStartUpTo, pathClocks } from "./path-clocks.ts";
import type { PathClocks } from "./path-clocks.ts";
import type { RecoveryTarget, SkippedBackup } from "./recovery-plan.ts";
import { forkFromPath } from "../repository/timeline-path.ts";
import type { TimelinePath } from "../repository/timeline-path.ts";
import { walRun } from "./wal-coverage.ts";
import type { WalIndex } from "../repository/wal-index.ts";
import type { WalRun } from "./wal-coverage.ts";

/** A backup from which replay can go along a path, and how far the archive carries it. */
export interface Candidate {
  readonly backup: BackupRecord;
  readonly run: WalRun;
  /** milliseconds since 1970, see {@link earliestTargetTime} */
  readonly earliestTime: number;
}

/** All that is known of one path: what the decisions are made from. */
export interface PathFacts {
  readonly catalog: Catalog;
  readonly wal: WalIndex;
  readonly path: TimelinePath;
  /** newest first, by where they end */
  readonly candidates: readonly Candidate[];
  readonly clocks: PathClocks;
  /** backups that do not lie on the path, newest first */
  readonly rejected: readonly RejectedBackup[];
}

export interface RejectedBackup extends SkippedBackup {
  readonly backup: BackupRecord;
}

/**
 * The first target time, in milliseconds since 1970, that is surely past the backup's end.
 *
 * PostgreSQL stops before the first transaction that ended after the target, and fails with "requested recovery stop point is
 * before consistent recovery point" when that is inside the backup. Transactions that ended inside it have times up to the
 * true stop time. The recorded one may have been cut off: to milliseconds always, to whole seconds when a server's own text
 * was read (`backup_label` has no fractions). So the target must be past the unit that the record shows.
 */
export function earliestTargetTime(backup: BackupRecord): number {
  const stop = backup.stopTime.getTime();
  return stop % 1000 === 0 ? stop + 1000 : stop + 1;
}

/** Sorts the catalog's backups into those on the path, with the WAL that follows each, and those that are not. */
export function surveyPath(catalog: Catalog, wal: WalIndex, path: TimelinePath): PathFacts {
  const candidates: Candidate[] = [];
  const rejected: RejectedBackup[] = [];
  for (const backup of catalog.backups) {
    const reason = whyNotOnPath(catalog, path, backup);
    if (reason !== undefined) {
      rejected.push({ label: backup.label, reason, backup });
      continue;
    }
    const run = walRun(wal, path, backup.startLsn, catalog.walSegmentSize);
    candidates.push({ backup, run, earliestTime: earliestTargetTime(backup) });
  }
  candidates.sort((a, b) => compareEnds(b.backup, a.backup));
  rejected.sort((a, b) => b.backup.stopTime.getTime() - a.backup.stopTime.getTime());
  return { catalog, wal, path, candidates, clocks: pathClocks(candidates), rejected };
}

/** Why replay from the backup cannot follow the path, or undefined when it can. */
function whyNotOnPath(catalog: Catalog, path: TimelinePath, backup: BackupRecord): string | undefined {
  if (backup.walSegmentSize !== catalog.walSegmentSize) {
    return `it needs WAL segments of ${backup.walSegmentSize} bytes, but the archive's have ${catalog.walSegmentSize}`;
  }
  const leg = path.legs.find(({ timeline }) => timeline === backup.timeline);
  if (leg === undefined) {
    const fork = forkFromPath(catalog, path, backup.timeline);
    if (fork?.end === undefined) {
      return `it was taken on timeline ${backup.timeline}, and no history leads from there to timeline ${path.timeline}`;
    }
    const branch = `it was taken on timeline ${backup.timeline}, a branch that left timeline ${fork.timeline}`;
    return `${branch} at ${formatLsn(fork.end)} and does not lead to timeline ${path.timeline}`;
  }
  if (leg.end !== undefined && backup.stopLsn > leg.end) {
    const left = `timeline ${leg.timeline} had been left at ${formatLsn(leg.end)} on the way to timeline ${path.timeline}`;
    return `it ends at ${formatLsn(backup.stopLsn)}, after ${left}`;
  }
  if (backup.stopLsn < leg.begin) {
    return `it ends before its timeline ${leg.timeline} began at ${formatLsn(leg.begin)}, so record and history contradict`;
  }
  return undefined;
}

/** Whether recovery from the backup can stop at the target: it must have become consistent by then. */
export function endsBeforeTarget(backup: BackupRecord, target: RecoveryTarget): boolean {
  switch (target.kind) {
    case "time":
      return target.time.getTime() >= earliestTargetTime(backup);
    case "lsn":
      return backup.stopLsn <= target.lsn;
    default:
      return true;
  }
}

/** Whether the target lies between the backup's begin and its end. */
export function targetIsInside(backup: BackupRecord, target: RecoveryTarget): boolean {
  if (endsBeforeTarget(backup, target)) return false;
  switch (target.kind) {
    case "time":
      return target.time >= backup.startTime;
    case "lsn":
      return target.lsn >= backup.startLsn;
    default:
      return false;
  }
}

/**
 * The last target time, in milliseconds since 1970, that a run can claim, or undefined when none can be named.
 *
 * Three clocks bound it. A primary's backup that began after a target, at a position inside the run, shows that all WAL up to
 * the target is there (a standby's does not: its start position is older than its start time). Otherwise the run claims what
 * happened before its last segment was archived. And whatever these say, a backup that ended at or before the target but lies
 * beyond the run shows that the target lies beyond it too.
 */
export function lastTargetTime(facts: PathFacts, run: WalRun): number | undefined {
  const archived = run.archivedAt?.getTime();
  const begun = latestStartUpTo(facts.clocks, run.end);
  const beyond = earliestEndAfter(facts.clocks, run.end);
  if (archived === undefined && begun === undefined) return undefined;
  const last = Math.max(archived ?? -Infinity, begun === undefined ? -Infinity : begun - 1);
  return beyond === undefined ? last : Math.min(last, beyond - 1);
}

/** Where WAL is surely past a target time: where a primary's backup began after it, within the run; the first such one. */
export function positionPastTime(
  facts: PathFacts,
  { backup: { stopLsn }, run }: Candidate,
  time: Date,
): Lsn | undefined {
  const later = facts.candidates.findLast(
    ({ backup }) => backup.source === "primary" && backup.startTime > time && backup.startLsn <= run.end,
  );
  if (later === undefined) return undefined;
  return later.backup.startLsn > stopLsn ? later.backup.startLsn : stopLsn;
}

function compareEnds(a: BackupRecord, b: BackupRecord): number {
  if (a.stopLsn !== b.stopLsn) return a.stopLsn < b.stopLsn ? -1 : 1;
  return a.stopTime.getTime() - b.stopTime.getTime();
}
