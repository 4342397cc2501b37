import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { sameIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineHistory, TimelineId } from "../postgres/timeline.ts";
import { formatTimeline, parseTimelineHistory } from "../postgres/timeline.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import { segmentNumber } from "../postgres/wal-file-name.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import { decodeBackupRecord } from "../repository/backup-record-json.ts";
import type { Catalog } from "../repository/catalog.ts";
import {
  backupFolder,
  backupRecordKey,
  backupsFolder,
  identityKey,
  isBackupLabel,
  walKey,
} from "../repository/layout.ts";
import { listWal } from "../repository/list-wal.ts";
import { encodeRecord } from "../repository/records.ts";
import type { JsonRecord } from "../repository/records.ts";
import type { Repository } from "../repository/repository.ts";
import { loadWal } from "../repository/wal-object.ts";
import type { ObjectInfo, SignalOption } from "../storage/object-store.ts";
import { backupPart, historyPart, segmentPart } from "./fault.ts";
import type { Findings } from "./fault.ts";

/** Requests under way at once while small objects are read. */
const concurrency = 16;
/** What PostgreSQL has unless somebody built or initialised it with another. */
const usualSegmentSize = 16 * 1024 * 1024;

/** What is known of one life of a cluster, whatever is wrong with it. */
export interface KnownLife {
  /** with those backups whose record is damaged, and can still be read */
  readonly catalog: Catalog;
  /** labels whose record can be relied on */
  readonly sound: ReadonlySet<string>;
  /** labels of folders without a record: backups that are being taken, or were given up */
  readonly unfinished: readonly string[];
  /** timelines whose history is there and cannot be used */
  readonly lostHistories: readonly TimelineId[];
  /** the names of the server's own backup history files */
  readonly backupHistories: readonly string[];
}

export interface LoadLifeOptions extends SignalOption {
  /** sees every WAL object that belongs where it lies; without it, WAL is only looked at by name, which is quicker */
  readonly onWal?: ((object: ObjectInfo, name: WalFileName) => void) | undefined;
}

/**
 * Reads what `loadCatalog` reads, and tells what is wrong instead of giving up. Backups come before WAL: one that is deleted
 * meanwhile takes its WAL with it, and must not be seen without.
 */
export async function loadLife(
  repository: Repository,
  identity: ClusterIdentity,
  findings: Findings,
  options: LoadLifeOptions,
): Promise<KnownLife> {
  const folder = backupsFolder(repository.cluster, identity);
  const labels = (await repository.store.listFolders(folder, options))
    .map((name) => name.slice(folder.length, -1))
    .filter((label) => {
      if (isBackupLabel(label)) return true;
      foreign(findings, backupFolder(repository.cluster, identity, label));
      return false;
    });
  const records = await mapConcurrently(labels, concurrency, (label) =>
    readBackupRecord(repository, identity, label, findings, options),
  );
  const found = records.flatMap(({ record }) => (record === undefined ? [] : [record]));
  const walSegmentSize = await readSegmentSize(repository, identity, found, labels, findings, options);
  const backupHistories: string[] = [];
  const wal = await listWal(repository, identity, walSegmentSize, {
    signal: options.signal,
    onObject: (object, name) => {
      if (options.onWal === undefined) return;
      const info = object.info();
      if (info === undefined) return; // deleted just now
      if (name === undefined) foreign(findings, info.key);
      else if (info.size === 0) empty(findings, info.key, name, walSegmentSize);
      else if (name.kind === "backup") backupHistories.push(name.name);
      if (name !== undefined) options.onWal(info, name);
    },
  });
  const histories = await readHistories(repository, identity, wal.timelinesWithHistory, findings, options);
  return {
    catalog: {
      identity,
      walSegmentSize,
      backups: found.sort((a, b) => a.stopTime.getTime() - b.stopTime.getTime() || (a.label < b.label ? -1 : 1)),
      histories,
      wal: wal.intervals,
      partials: wal.partials,
    },
    sound: new Set(records.filter(({ isSound }) => isSound).map(({ label }) => label)),
    unfinished: records.filter(({ isThere }) => !isThere).map(({ label }) => label),
    lostHistories: wal.timelinesWithHistory.filter((timeline) => !histories.has(timeline)),
    backupHistories,
  };
}

export function foreign(findings: Findings, key: string): void {
  findings.fault({
    kind: "foreign",
    object: key,
    problem: "no object of pgark has this name in this place",
    hint: "find out who put it there; nothing reads it, and it can be deleted",
    costs: [],
  });
}

function empty(findings: Findings, key: string, name: WalFileName, segmentSize: number): void {
  const costs = name.kind === "segment" ? [segmentPart(name.timeline, segmentNumber(name, segmentSize))] : [];
  // Of a history, reading it says the same.
  if (name.kind === "history") return;
  findings.fault({ kind: "wrong-size", object: key, problem: "it has no bytes at all", hint: undefined, costs });
}

interface ReadRecord {
  readonly label: string;
  readonly isThere: boolean;
  readonly isSound: boolean;
  /** undefined when there is none, or nothing can be made of it */
  readonly record: BackupRecord | undefined;
}

async function readBackupRecord(
  repository: Repository,
  identity: ClusterIdentity,
  label: string,
  findings: Findings,
  options: SignalOption,
): Promise<ReadRecord> {
  const key = backupRecordKey(repository.cluster, identity, label);
  let bytes: Uint8Array | undefined;
  try {
    bytes = await repository.store.get(key, options);
    const record = decodeBackupRecord(key, bytes);
    if (record.label === label && sameIdentity(record.identity, identity)) {
      return { label, isThere: true, isSound: true, record };
    }
    findings.fault({
      kind: "misplaced",
      object: key,
      problem: `it is the record of backup ${record.label}`,
      hint: "objects of a repository must not be moved or copied within it",
      costs: [backupPart(label)],
    });
    return { label, isThere: true, isSound: false, record: undefined };
  } catch (error) {
    if (isPgarkError(error, "not-found")) return { label, isThere: false, isSound: false, record: undefined };
    findings.error(error, key, [backupPart(label)], isPgarkError(error) ? error.hint : undefined);
    const guess = bytes === undefined ? undefined : readDamagedRecord(key, bytes);
    const isOwn = guess?.label === label && sameIdentity(guess.identity, identity);
    return { label, isThere: true, isSound: false, record: isOwn ? guess : undefined };
  }
}

/** What a record says whose digest does not hold: good enough to tell about what is lost with it. */
function readDamagedRecord(key: string, bytes: Uint8Array): BackupRecord | undefined {
  try {
    const { sha256: _digest, ...fields } = JSON.parse(Buffer.from(bytes).toString("utf8")) as JsonRecord;
    return decodeBackupRecord(key, encodeRecord(fields));
  } catch {
    return undefined;
  }
}

/** Without its record nothing of a life can be used until that is put back; what lies in it can be looked at all the same. */
async function readSegmentSize(
  repository: Repository,
  identity: ClusterIdentity,
  backups: readonly BackupRecord[],
  labels: readonly string[],
  findings: Findings,
  options: SignalOption,
): Promise<number> {
  const key = identityKey(repository.cluster, identity);
  try {
    const record = await repository.identityRecord(identity, options);
    if (sameIdentity(record.identity, identity)) return record.walSegmentSize;
    throw new PgarkError("corrupt", "it is the record of another life", { operation: "read record", object: key });
  } catch (error) {
    // A life without a record is "identity-mismatch" to whoever asks for it.
    const isMissing = isPgarkError(error, "identity-mismatch");
    const meaning = isMissing ? new PgarkError("not-found", "no such object", { operation: "read record" }) : error;
    findings.error(meaning, key, labels.map(backupPart), "put it back from a copy of the repository; it never changes");
  }
  return backups.at(-1)?.walSegmentSize ?? usualSegmentSize;
}

async function readHistories(
  repository: Repository,
  identity: ClusterIdentity,
  timelines: readonly TimelineId[],
  findings: Findings,
  options: SignalOption,
): Promise<ReadonlyMap<TimelineId, TimelineHistory>> {
  const histories = await mapConcurrently(timelines, concurrency, async (timeline) => {
    const name = `${formatTimeline(timeline)}.history`;
    try {
      const plain = await loadWal(repository, identity, name, options);
      return parseTimelineHistory(Buffer.from(plain).toString("utf8"), timeline);
    } catch (error) {
      const key = walKey(repository.cluster, identity, name, repository.encrypted);
      findings.error(error, key, [historyPart(timeline)], historyHint);
      return undefined;
    }
  });
  return new Map(histories.flatMap((history) => (history === undefined ? [] : [[history.timeline, history]])));
}

export const historyHint =
  "a server of this cluster on this or a later timeline has the file in pg_wal: delete the object and push the file again";
