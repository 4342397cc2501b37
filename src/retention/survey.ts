import { lastSegmentNumberBefore, segmentNumberOfLsn, segmentStart } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog } from "../repository/catalog.ts";
import { knownTimelines, lastOwnedSegment, ownerOfSegment, timelinePath } from "../repository/timeline-path.ts";
import type { PathLeg, TimelinePath } from "../repository/timeline-path.ts";
import { indexWal, intervalWith } from "../repository/wal-index.ts";
import type { WalIndex } from "../repository/wal-index.ts";

/** One way through the timelines, and the backups from which replay can follow it. */
export interface PathSurvey {
  readonly timeline: TimelineId;
  readonly path: TimelinePath;
  /** in WAL order: by where they end */
  readonly backups: readonly BackupRecord[];
  /** those of them whose WAL this way may take from other timelines than their own */
  readonly forked: readonly BackupRecord[];
}

/** What a catalog says, sorted for the decisions about it. */
export interface Survey {
  readonly catalog: Catalog;
  readonly wal: WalIndex;
  /** to every timeline that the catalog knows, ascending */
  readonly paths: readonly PathSurvey[];
  /** backups that can be restored: on the way to their own timeline the WAL is there that makes them consistent */
  readonly restorable: ReadonlySet<BackupRecord>;
}

export function surveyCatalog(catalog: Catalog): Survey {
  const size = catalog.walSegmentSize;
  const wal = indexWal(catalog);
  const byTimeline = backupsByTimeline(catalog);
  const restorable = new Set<BackupRecord>();
  const paths = knownTimelines(catalog).map((timeline) => {
    const path = timelinePath(catalog, timeline);
    const legs = path.legs.map((leg) => ({ leg, backups: backupsOfLeg(byTimeline, leg) }));
    for (const backup of legs.at(-1)?.backups ?? []) if (hasOwnWal(wal, path, backup, size)) restorable.add(backup);
    return {
      timeline,
      path,
      backups: legs.flatMap(({ backups }) => backups),
      forked: legs.flatMap(({ leg, backups }) => takingOtherCopies(leg, backups, size)),
    };
  });
  return { catalog, wal, paths, restorable };
}

/** By where they end, as the planner has it. */
function inWalOrder(a: BackupRecord, b: BackupRecord): number {
  if (a.stopLsn !== b.stopLsn) return a.stopLsn < b.stopLsn ? -1 : 1;
  return a.stopTime.getTime() - b.stopTime.getTime();
}

function backupsByTimeline(catalog: Catalog): ReadonlyMap<TimelineId, readonly BackupRecord[]> {
  const found = new Map<TimelineId, BackupRecord[]>();
  for (const backup of catalog.backups) {
    if (backup.walSegmentSize !== catalog.walSegmentSize) continue; // nothing here fits it
    const others = found.get(backup.timeline);
    if (others === undefined) found.set(backup.timeline, [backup]);
    else others.push(backup);
  }
  for (const backups of found.values()) backups.sort(inWalOrder);
  return found;
}

/** Backups of the leg's timeline that lie on it: where it is left, if it is, lies behind their end. */
function backupsOfLeg(
  byTimeline: ReadonlyMap<TimelineId, readonly BackupRecord[]>,
  { timeline, begin, end }: PathLeg,
): readonly BackupRecord[] {
  const backups = byTimeline.get(timeline) ?? [];
  return backups.filter(({ stopLsn }) => stopLsn >= begin && (end === undefined || stopLsn <= end));
}

/**
 * Backups whose WAL may come from other timelines than on the way to their own: where a younger timeline begins in the segment that
 * they end in, and where they began on an older timeline, of which another history may tell otherwise.
 */
function takingOtherCopies(
  { begin, end }: PathLeg,
  backups: readonly BackupRecord[],
  segmentSize: number,
): readonly BackupRecord[] {
  const fork = end === undefined ? undefined : segmentStart(segmentNumberOfLsn(end, segmentSize), segmentSize);
  return backups.filter(({ startLsn, stopLsn }) => startLsn < begin || (fork !== undefined && stopLsn > fork));
}

/**
 * Whether all WAL from the backup's start to its end is there. What the planner may find besides, a parent's copy of a segment
 * that is missing, does not count: then an older backup is counted in this one's place.
 */
function hasOwnWal(
  wal: WalIndex,
  path: TimelinePath,
  { startLsn, stopLsn }: BackupRecord,
  segmentSize: number,
): boolean {
  const last = lastSegmentNumberBefore(stopLsn, segmentSize);
  let segment = segmentNumberOfLsn(startLsn, segmentSize);
  while (segment <= last) {
    const owner = ownerOfSegment(path, segment, segmentSize);
    const interval = intervalWith(wal, owner.timeline, segment);
    if (interval === undefined) return false;
    const lastOwned = lastOwnedSegment(path, owner, segmentSize);
    segment = (lastOwned !== undefined && lastOwned < interval.last ? lastOwned : interval.last) + 1n;
  }
  return true;
}
