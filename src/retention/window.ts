import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { BackupAges } from "./backup-ages.ts";
import type { RetentionPolicy } from "./policy.ts";
import type { RetentionFacts } from "./retention-plan.ts";
import type { PathSurvey, Survey } from "./survey.ts";

/**
 * A timeline to which WAL was archived within a day before the window begins counts as in use: clocks of stores and servers
 * differ, and a quiet server archives seldom. It must not lose its backups because a clone took a newer one.
 */
const quietMs = 24 * 3600 * 1000;

/** A recorded end may have been cut off to whole seconds; a recovery target must be past its second. */
const cutOffMs = 1000;

/** The stretch of time in which, on each timeline in use, every moment stays restorable. */
export interface Window {
  /** milliseconds since 1970 */
  readonly begin: number;
  /** the first moment that is promised, likewise: where a backup opens the window, the first that is surely past its end */
  readonly promisedFrom: number;
  /** by timeline in use */
  readonly paths: ReadonlyMap<TimelineId, WindowPath>;
  /** whether the backup ended in the window, by its time */
  holds(backup: BackupRecord): boolean;
}

/** What the window needs on the way to one timeline. */
export interface WindowPath {
  /** the backup that everything since the window's begin can be reached from, if there is one */
  readonly opening: BackupRecord | undefined;
  /** `opening` and all that follow it in WAL; all of the path's backups when nothing opens the window */
  readonly members: ReadonlySet<BackupRecord>;
}

/** The backups that can be restored, newest first. */
export function newestFirst(survey: Survey, ages: BackupAges): readonly BackupRecord[] {
  return [...survey.restorable].sort((a, b) => ages.compare(b, a));
}

/**
 * The window that `keep-last` and `keep-within` open together: the longer one. With neither, it begins with the newest backup:
 * that one always stays, with all WAL after it, for no newer backup covers that.
 *
 * @param newest the backups that can be restored, newest first; at least one
 */
export function openWindow(
  { running, now }: RetentionFacts,
  { keepLast = 1, keepWithinMs = 0 }: RetentionPolicy,
  survey: Survey,
  ages: BackupAges,
  newest: readonly BackupRecord[],
): Window {
  // While there are fewer than are to be kept, all stay.
  const first = newest[keepLast - 1] ?? survey.catalog.backups.reduce((a, b) => (ages.compare(b, a) < 0 ? b : a));
  const begin = Math.min(ages.endOf(first), now.getTime() - keepWithinMs);
  const beginsWithFirst = begin === ages.endOf(first);
  const holds = (backup: BackupRecord): boolean => ages.endOf(backup) > begin || ages.compare(backup, first) >= 0;
  const opens = (backup: BackupRecord): boolean =>
    (beginsWithFirst && backup === first) || endsSurelyBefore(backup, begin);
  const reachesIn = ({ startTime }: BackupRecord): boolean => startTime.getTime() > begin && startTime <= now;
  const isBehind = (backup: BackupRecord): boolean => holds(backup) || reachesIn(backup);
  const busy = new Set(running.map(({ walFrom }) => walFrom?.timeline));
  for (const backup of survey.catalog.backups) if (holds(backup)) busy.add(backup.timeline);
  busy.add(survey.paths.at(-1)?.timeline);
  const inUse = survey.paths.filter(
    ({ timeline }) => busy.has(timeline) || mayHoldSince(survey, timeline, begin - quietMs),
  );
  const paths = new Map(inUse.map((path) => [path.timeline, windowOn(path, survey.restorable, opens, isBehind)]));
  return { begin, promisedFrom: beginsWithFirst ? begin + cutOffMs : begin, paths, holds };
}

/**
 * The newest backup opens the window of a path before which, in WAL, none shows a time inside the window. Where clocks stepped
 * back, positions and times contradict each other; then this errs towards an older backup.
 */
function windowOn(
  { backups }: PathSurvey,
  restorable: Survey["restorable"],
  opens: (backup: BackupRecord) => boolean,
  isBehind: (backup: BackupRecord) => boolean,
): WindowPath {
  let from: number | undefined;
  for (const [index, backup] of backups.entries()) {
    if (restorable.has(backup) && opens(backup)) from = index;
    if (isBehind(backup)) break;
  }
  return { opening: from === undefined ? undefined : backups[from], members: new Set(backups.slice(from ?? 0)) };
}

function endsSurelyBefore(backup: BackupRecord, begin: number): boolean {
  return backup.stopTime.getTime() + cutOffMs <= begin;
}

/** Whether the timeline's last segment may have been archived at `time` or later. */
function mayHoldSince({ wal }: Survey, timeline: TimelineId, time: number): boolean {
  const archived = wal.get(timeline)?.at(-1)?.archivedAt.getTime();
  // where nothing is known of its time it may be new
  return archived !== undefined && (archived === 0 || archived >= time);
}
