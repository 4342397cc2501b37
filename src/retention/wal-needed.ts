import { lsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { lastSegmentNumberBefore, segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { TimelinePath } from "../repository/timeline-path.ts";
import type { ChosenBackups } from "./choose-backups.ts";
import type { RetentionFacts, RunningBackup, WalKeepReason } from "./retention-plan.ts";
import type { PathSurvey, Survey } from "./survey.ts";
import type { Window } from "./window.ts";

/** Segments of one timeline that have to stay. */
export interface WalNeeded {
  readonly timeline: TimelineId;
  readonly first: bigint;
  /** included; undefined when all that follow are needed too */
  readonly last: bigint | undefined;
  readonly reason: WalKeepReason;
}

/** All WAL that has to stay, in no order; a segment may be needed more than once. */
export function walNeeded(
  facts: RetentionFacts,
  survey: Survey,
  window: Window,
  chosen: ChosenBackups,
): readonly WalNeeded[] {
  const { walSegmentSize } = survey.catalog;
  return [
    ...survey.paths.flatMap((path) => neededByWindow(path, survey, window)),
    ...facts.running.flatMap((running) => neededByRunning(running, survey)),
    ...[...chosen.keys()].flatMap((backup) => neededByBackup(backup, walSegmentSize)),
    ...survey.paths.flatMap((path) => neededOnFork(path, chosen, walSegmentSize)),
  ];
}

/**
 * Everything from the start of the oldest backup on that is in the window of this timeline, or in the window of its own timeline:
 * from there this one can be reached too. A timeline in use that no backup leads to keeps all it has.
 */
function neededByWindow(
  { timeline, path, backups }: PathSurvey,
  { catalog, restorable }: Survey,
  { paths }: Window,
): readonly WalNeeded[] {
  const own = paths.get(timeline);
  const members = backups.filter(
    (backup) => own?.members.has(backup) === true || paths.get(backup.timeline)?.members.has(backup) === true,
  );
  const needed: WalNeeded[] = [];
  if (own !== undefined && !backups.some((backup) => restorable.has(backup))) {
    needed.push({ timeline, first: 0n, last: undefined, reason: { kind: "uncovered", timeline } });
  }
  // The first to begin is not always the first to end.
  const oldest = members.reduce<BackupRecord | undefined>(
    (first, backup) => (first === undefined || backup.startLsn < first.startLsn ? backup : first),
    undefined,
  );
  if (oldest === undefined) return needed;
  const reason = { kind: "window", backup: oldest.label, timeline } as const;
  return [...needed, ...segmentsOnPath(path, oldest.startLsn, undefined, catalog.walSegmentSize, reason)];
}

/** What a backup needs to become consistent, on its own timeline. */
function neededByBackup({ label, timeline, startLsn, stopLsn }: BackupRecord, segmentSize: number): WalNeeded {
  return {
    timeline,
    first: segmentNumberOfLsn(startLsn, segmentSize),
    last: lastSegmentNumberBefore(stopLsn, segmentSize),
    reason: { kind: "backup", backup: label },
  };
}

/** The copies of the same WAL that replay reads on the way to another timeline. */
function neededOnFork({ path, forked }: PathSurvey, chosen: ChosenBackups, segmentSize: number): readonly WalNeeded[] {
  return forked
    .filter((backup) => chosen.has(backup))
    .flatMap(({ label, startLsn, stopLsn }) =>
      segmentsOnPath(path, startLsn, stopLsn, segmentSize, { kind: "backup", backup: label }),
    );
}

/**
 * What a backup that is being taken may need: everything from the position that it named. While it has named none, everything
 * since the newest backup on the way to each timeline that began before it, and all on a way that has none.
 */
function neededByRunning(running: RunningBackup, survey: Survey): readonly WalNeeded[] {
  const { catalog, paths, restorable } = survey;
  const reason = { kind: "running", backup: running.label } as const;
  const from = running.walFrom;
  if (from !== undefined && paths.some(({ timeline }) => timeline === from.timeline)) {
    return paths
      .filter(({ path }) =>
        path.legs.some(({ timeline, end }) => timeline === from.timeline && (end === undefined || from.lsn <= end)),
      )
      .flatMap(({ path }) => segmentsOnPath(path, from.lsn, undefined, catalog.walSegmentSize, reason));
  }
  return paths.flatMap(({ path, backups }) => {
    const starts = backups
      .filter((backup) => restorable.has(backup) && backup.startTime <= running.begun)
      .map(({ startLsn }) => startLsn);
    const newest = starts.reduce((last, start) => (start > last ? start : last), lsn(0n));
    return segmentsOnPath(path, newest, undefined, catalog.walSegmentSize, reason);
  });
}

/**
 * The segments that replay along a path may read between two positions (to the end of WAL when `to` is undefined). Around a
 * switch point both copies count, for PostgreSQL takes the parent's where the child's is missing.
 */
function segmentsOnPath(
  path: TimelinePath,
  from: Lsn,
  to: Lsn | undefined,
  segmentSize: number,
  reason: WalKeepReason,
): readonly WalNeeded[] {
  const needed: WalNeeded[] = [];
  for (const { timeline, begin, end } of path.legs) {
    const first = segmentNumberOfLsn(begin > from ? begin : from, segmentSize);
    const stop = end === undefined || (to !== undefined && to < end) ? to : end;
    const last = stop === undefined ? undefined : lastSegmentNumberBefore(stop, segmentSize);
    if (last === undefined || first <= last) needed.push({ timeline, first, last, reason });
  }
  return needed;
}
