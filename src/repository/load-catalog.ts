import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError, PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { sameIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineHistory, TimelineId } from "../postgres/timeline.ts";
import { formatTimeline, parseTimelineHistory } from "../postgres/timeline.ts";
import { parseWalFileName, segmentNumber } from "../postgres/wal-file-name.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { BackupRecord } from "./backup-record.ts";
import { decodeBackupRecord } from "./backup-record-json.ts";
import type { Catalog, WalInterval } from "./catalog.ts";
import { backupRecordKey, backupsFolder, isBackupLabel, sealedSuffix, walFolder } from "./layout.ts";
import type { Repository } from "./repository.ts";
import { loadWal } from "./wal-object.ts";

/** Requests under way at once while small records are read. */
const concurrency = 16;

export interface LoadOptions extends SignalOption {
  readonly log: Log;
}

/**
 * Reads all that is known of one life of a cluster. Memory grows with the number of backups and of holes in the WAL, not with
 * the number of segments.
 */
export async function loadCatalog(
  repository: Repository,
  identity: ClusterIdentity,
  options: LoadOptions,
): Promise<Catalog> {
  const record = await repository.identityRecord(identity, options);
  const [backups, wal] = await Promise.all([
    loadBackups(repository, identity, options),
    listWal(repository, identity, record.walSegmentSize, options),
  ]);
  const histories = await loadHistories(repository, identity, wal.timelinesWithHistory, options);
  const { intervals, partials } = wal;
  return { identity, walSegmentSize: record.walSegmentSize, backups, histories, wal: intervals, partials };
}

/** All complete backups, oldest stop time first. */
export async function loadBackups(
  repository: Repository,
  identity: ClusterIdentity,
  options: LoadOptions,
): Promise<readonly BackupRecord[]> {
  const folder = backupsFolder(repository.cluster, identity);
  const labels = (await repository.store.listFolders(folder, options))
    .map((name) => name.slice(folder.length, -1))
    .filter(isBackupLabel);
  const found = await mapConcurrently(labels, concurrency, (label) =>
    loadBackup(repository, identity, label, options).catch((error: unknown) => {
      // Not complete (or deleted just now), or a record that cannot be trusted; the others must stay usable.
      if (isPgarkError(error, "not-found")) return undefined;
      if (!isPgarkError(error, "corrupt", "newer-format")) throw error;
      options.log.warn(`passed over backup ${label}: ${error.message}`, { object: error.object });
      return undefined;
    }),
  );
  return found
    .filter((record) => record !== undefined)
    .sort((a, b) => a.stopTime.getTime() - b.stopTime.getTime() || (a.label < b.label ? -1 : 1));
}

/** One complete backup; `not-found` when there is none of that label. */
export async function loadBackup(
  repository: Repository,
  identity: ClusterIdentity,
  label: string,
  options: SignalOption,
): Promise<BackupRecord> {
  const key = backupRecordKey(repository.cluster, identity, label);
  const record = decodeBackupRecord(key, await repository.store.get(key, options));
  if (record.label === label && sameIdentity(record.identity, identity)) return record;
  throw new PgarkError("corrupt", "it is the record of another backup", {
    operation: "read record",
    object: key,
    hint: "objects of a repository must not be moved or copied within it",
  });
}

interface ListedWal {
  readonly intervals: readonly WalInterval[];
  readonly partials: Catalog["partials"];
  readonly timelinesWithHistory: readonly TimelineId[];
}

async function listWal(
  repository: Repository,
  identity: ClusterIdentity,
  segmentSize: number,
  options: SignalOption,
): Promise<ListedWal> {
  const suffix = sealedSuffix(repository.encrypted);
  const intervals: WalInterval[] = [];
  const partials: { timeline: TimelineId; segment: bigint }[] = [];
  const timelinesWithHistory: TimelineId[] = [];
  for await (const object of repository.store.list(walFolder(repository.cluster, identity), options)) {
    const file = object.key.slice(object.key.lastIndexOf("/") + 1);
    const name = file.endsWith(suffix) ? parseWalFileName(file.slice(0, -suffix.length)) : undefined;
    if (name?.kind === "segment") {
      addSegment(intervals, name.timeline, segmentNumber(name, segmentSize), object.modified);
    } else if (name?.kind === "partial") {
      partials.push({ timeline: name.timeline, segment: segmentNumber(name, segmentSize) });
    } else if (name?.kind === "history") timelinesWithHistory.push(name.timeline);
  }
  return { intervals, partials, timelinesWithHistory };
}

/** Lists come in the order of names, which within a timeline is the order of segments. */
function addSegment(wal: WalInterval[], timeline: TimelineId, segment: bigint, archivedAt: Date): void {
  const last = wal.at(-1);
  if (last !== undefined && last.timeline === timeline && last.last + 1n === segment) {
    wal[wal.length - 1] = { ...last, last: segment, archivedAt };
  } else {
    wal.push({ timeline, first: segment, last: segment, archivedAt });
  }
}

async function loadHistories(
  repository: Repository,
  identity: ClusterIdentity,
  timelines: readonly TimelineId[],
  options: SignalOption,
): Promise<ReadonlyMap<TimelineId, TimelineHistory>> {
  const histories = await mapConcurrently(timelines, concurrency, async (timeline) => {
    const name = `${formatTimeline(timeline)}.history`;
    const plain = await loadWal(repository, identity, name, options);
    return parseTimelineHistory(Buffer.from(plain).toString("utf8"), timeline);
  });
  return new Map(histories.map((history) => [history.timeline, history]));
}
