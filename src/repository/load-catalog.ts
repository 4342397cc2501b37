import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError, PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { sameIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineHistory, TimelineId } from "../postgres/timeline.ts";
import { formatTimeline, parseTimelineHistory } from "../postgres/timeline.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { BackupRecord } from "./backup-record.ts";
import { decodeBackupRecord } from "./backup-record-json.ts";
import type { Catalog } from "./catalog.ts";
import { backupRecordKey, backupsFolder, isBackupLabel } from "./layout.ts";
import { listWal } from "./list-wal.ts";
import type { ListWalOptions } from "./list-wal.ts";
import type { Repository } from "./repository.ts";
import { loadWal } from "./wal-object.ts";

/** Requests under way at once while small records are read. */
const concurrency = 16;

export interface LoadOptions extends SignalOption {
  readonly log: Log;
  /** hears of every folder of a backup that is not among the complete ones; without it those that are damaged are logged */
  readonly onPassedOver?: ((backup: PassedOverBackup) => void) | undefined;
  /** see {@link ListWalOptions} */
  readonly onWalObject?: ListWalOptions["onObject"];
}

/** A folder of a backup that has no record, or one that cannot be trusted. */
export interface PassedOverBackup {
  readonly label: string;
  /** what is wrong with its record; undefined when there is none: it is not complete, or was deleted just now */
  readonly problem: string | undefined;
}

/**
 * Reads all that is known of one life of a cluster. Memory grows with the number of backups, and of log folders and holes
 * in the WAL, not with the number of segments.
 */
export async function loadCatalog(
  repository: Repository,
  identity: ClusterIdentity,
  options: LoadOptions,
): Promise<Catalog> {
  const record = await repository.identityRecord(identity, options);
  const [backups, wal] = await Promise.all([
    loadBackups(repository, identity, options),
    listWal(repository, identity, record.walSegmentSize, { signal: options.signal, onObject: options.onWalObject }),
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
  const { onPassedOver } = options;
  const found = await mapConcurrently(labels, concurrency, (label) =>
    loadBackup(repository, identity, label, options).catch((error: unknown) => {
      // Not complete (or deleted just now), or a record that cannot be trusted; the others must stay usable.
      if (!isPgarkError(error, "not-found", "corrupt", "newer-format")) throw error;
      const problem = error.code === "not-found" ? undefined : error.message;
      if (onPassedOver !== undefined) onPassedOver({ label, problem });
      else if (problem !== undefined) {
        options.log.warn(`passed over backup ${label}: ${problem}`, { object: error.object });
      }
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
