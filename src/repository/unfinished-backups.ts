import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { decodeBegunRecord } from "./begun-record.ts";
import type { BegunRecord } from "./begun-record.ts";
import { backupFolder, begunKey } from "./layout.ts";
import type { Repository } from "./repository.ts";

/** Folders looked at side by side. */
const concurrency = 16;
/** Markers that say nothing of WAL are of a pgark that gives no signs of life: its uploads may be quiet for long. */
const oldMarkerGraceMs = 7 * 24 * 3600_000;

/** A backup's folder without a record: it is being taken, or was given up, or is what a deletion has left. */
export interface UnfinishedBackup {
  readonly label: string;
  /** `gone`: a deletion takes it away first. `unreadable`: damaged, or of a newer pgark */
  readonly marker: BegunRecord | "gone" | "unreadable";
  /** when its writer, or whatever lies in it, was last heard of, by the store's clock */
  readonly lastSign: Date;
  readonly objects: number;
  /** as stored */
  readonly bytes: number;
}

/** What lies in the folders of `labels`, which have no record. Folders with nothing in them are left out. */
export async function loadUnfinished(
  repository: Repository,
  identity: ClusterIdentity,
  labels: readonly string[],
  options: SignalOption,
): Promise<readonly UnfinishedBackup[]> {
  const found = await mapConcurrently(labels, concurrency, (label) =>
    loadUnfinishedBackup(repository, identity, label, options),
  );
  return found.filter((each) => each !== undefined);
}

/** Undefined when there is nothing in the folder. */
export async function loadUnfinishedBackup(
  repository: Repository,
  identity: ClusterIdentity,
  label: string,
  options: SignalOption,
): Promise<UnfinishedBackup | undefined> {
  let lastSign = new Date(0);
  let objects = 0;
  let bytes = 0;
  for await (const object of repository.store.list(backupFolder(repository.cluster, identity, label), options)) {
    objects++;
    bytes += object.size;
    if (object.modified > lastSign) lastSign = object.modified;
  }
  // After the list: a marker that appears meanwhile must not be taken for one that is gone.
  const marker = await readMarker(repository, begunKey(repository.cluster, identity, label), options);
  return objects === 0 ? undefined : { label, marker, lastSign, objects, bytes };
}

async function readMarker(
  repository: Repository,
  key: string,
  options: SignalOption,
): Promise<UnfinishedBackup["marker"]> {
  try {
    return decodeBegunRecord(key, await repository.store.get(key, options));
  } catch (error) {
    if (isPgarkError(error, "not-found")) return "gone";
    if (isPgarkError(error, "corrupt", "newer-format")) return "unreadable";
    throw error;
  }
}

/**
 * Whether nobody is at work on it any more, so that it may be swept: what a deletion has left at once, else when nothing was
 * heard of its writer for `graceMs`.
 */
export function isAbandoned({ marker, lastSign }: UnfinishedBackup, graceMs: number, storeNow: Date): boolean {
  if (marker === "gone") return true;
  const isQuiet = marker === "unreadable" || marker.walFrom === undefined;
  const patienceMs = isQuiet ? Math.max(graceMs, oldMarkerGraceMs) : graceMs;
  return storeNow.getTime() - lastSign.getTime() > patienceMs;
}
