import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { backupFolder, backupRecordKey, begunKey } from "../repository/layout.ts";
import { loadPinsOf } from "../repository/pins.ts";
import type { Repository } from "../repository/repository.ts";
import { isAbandoned, loadUnfinishedBackup } from "../repository/unfinished-backups.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { Eraser } from "./eraser.ts";
import type { WalRange } from "./wal-range.ts";

/** Backups whose records are deleted together. */
const recordsAtOnce = 500;
/** Pins looked up side by side. */
const concurrency = 16;

export interface EraseBackupsOptions extends SignalOption {
  readonly repository: Repository;
  readonly identity: ClusterIdentity;
  readonly eraser: Eraser;
  /** what time it is by the store's clock */
  readonly storeNow: () => Date;
}

/** A backup that is to be deleted. */
export interface DoomedBackup {
  readonly label: string;
  /** what it needs to be restored, and keeps should it stay; undefined when nobody knows */
  readonly wal: WalRange | undefined;
}

/** A backup that was to be deleted and is still listed. */
export interface StayedBackup extends DoomedBackup {
  readonly why: string;
}

export interface ErasedBackups {
  /** labels of those that are listed no more */
  readonly gone: readonly string[];
  readonly stayed: readonly StayedBackup[];
}

/**
 * Deletes complete backups so that at every moment what is listed is whole. First goes `begun.json`, so that what a deletion
 * leaves is told from a backup that is being taken; then `backup.json`, with which the backup is gone; then the rest.
 */
export async function eraseBackups(
  backups: readonly DoomedBackup[],
  options: EraseBackupsOptions,
): Promise<ErasedBackups> {
  const gone: string[] = [];
  const stayed: StayedBackup[] = [];
  for (let index = 0; index < backups.length; index += recordsAtOnce) {
    const erased = await eraseRecords(backups.slice(index, index + recordsAtOnce), options);
    stayed.push(...erased.stayed);
    for (const label of erased.gone) {
      await eraseFolder(label, options);
      gone.push(label);
    }
  }
  return { gone, stayed };
}

async function eraseRecords(backups: readonly DoomedBackup[], options: EraseBackupsOptions): Promise<ErasedBackups> {
  const { repository, identity, eraser } = options;
  const stayed: StayedBackup[] = [];
  const dismiss = (isStaying: (backup: DoomedBackup, index: number) => boolean, why: string): void => {
    left = left.filter((backup, index) => {
      if (!isStaying(backup, index)) return true;
      stayed.push({ ...backup, why });
      return false;
    });
  };
  let left = backups;
  // Somebody may have pinned one since it was decided.
  const pinned = await mapConcurrently(left, concurrency, ({ label }) => isPinned(label, options));
  dismiss((_backup, index) => pinned[index] === true, "it has been pinned meanwhile");
  for (const keyOf of [begunKey, backupRecordKey]) {
    const key = ({ label }: DoomedBackup): string => keyOf(repository.cluster, identity, label);
    const refused = new Set(await eraser.eraseKeys(left.map(key)));
    dismiss((backup) => refused.has(key(backup)), "the store does not let its record go");
  }
  return { gone: left.map(({ label }) => label), stayed };
}

async function isPinned(label: string, { repository, identity, storeNow, signal }: EraseBackupsOptions) {
  const pins = await loadPinsOf(repository, identity, label, { signal });
  return pins.some(({ until }) => until === undefined || until > storeNow());
}

async function eraseFolder(label: string, { repository, identity, eraser, signal }: EraseBackupsOptions) {
  await eraser.erase(repository.store.list(backupFolder(repository.cluster, identity, label), { signal }));
}

/**
 * Sweeps folders without a record whose writer was not heard of for `graceMs`. Looks at each once more: it may have been heard
 * of since, or have come to its end. Resolves with the labels that are gone.
 */
export async function sweepAbandoned(
  labels: readonly string[],
  graceMs: number,
  options: EraseBackupsOptions,
): Promise<readonly string[]> {
  const { repository, identity, eraser, storeNow, signal } = options;
  const swept: string[] = [];
  for (const label of labels) {
    const found = await loadUnfinishedBackup(repository, identity, label, { signal });
    if (found === undefined || !isAbandoned(found, graceMs, storeNow())) continue;
    if (await isComplete(label, options)) continue;
    await eraser.eraseKeys([begunKey(repository.cluster, identity, label)]);
    await eraseFolder(label, options);
    swept.push(label);
  }
  return swept;
}

async function isComplete(label: string, { repository, identity, signal }: EraseBackupsOptions): Promise<boolean> {
  try {
    await repository.store.head(backupRecordKey(repository.cluster, identity, label), { signal });
    return true;
  } catch (error) {
    if (isPgarkError(error, "not-found")) return false;
    throw error;
  }
}
