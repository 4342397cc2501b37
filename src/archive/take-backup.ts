import { PgarkError } from "../errors.ts";
import { connect } from "../postgres/connection.ts";
import type { Session } from "../postgres/connection.ts";
import { readServerInfo } from "../postgres/server-info.ts";
import type { ServerInfo } from "../postgres/server-info.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import { encodeBackupRecord } from "../repository/backup-record-json.ts";
import { backupRecordKey } from "../repository/layout.ts";
import { ManifestWriter } from "../repository/manifest-writer.ts";
import { PackUploader } from "../repository/pack-uploader.ts";
import type { Repository } from "../repository/repository.ts";
import { WorkerPool } from "../repository/worker/worker-pool.ts";
import type { BackupJob, BackupOptions, CopiedCluster, TakenBackup } from "./backup-types.ts";
import { claimLabel } from "./claim-label.ts";
import type { ClaimedLabel } from "./claim-label.ts";
import { copyLocally } from "./local-backup.ts";
import { copyRemotely } from "./remote-backup.ts";
import { waitForWal } from "./wait-for-wal.ts";

/** How often the session that holds backup mode is asked whether it is alive. */
const pingMs = 5_000;

/**
 * Takes a full base backup. It is listed when this returns and not before: all files are in the repository, the WAL that it
 * needs is too, and `backup.json` was written last. On any failure, signal or lost session nothing is listed.
 */
export async function takeBackup(repository: Repository, options: BackupOptions): Promise<TakenBackup> {
  const session = await connect({ ...options.connection, signal: options.signal, log: options.log });
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(new PgarkError("aborted", "stopped", { operation: "take base backup" }));
  options.signal?.addEventListener("abort", onAbort, { once: true });
  session.onLost((error) => stop.abort(error));
  // A statement may be waiting, for a checkpoint above all; ending the session ends it, and backup mode with it.
  stop.signal.addEventListener("abort", () => void session.end(), { once: true });
  const keepAlive = setInterval(() => void session.ping().catch((error: unknown) => stop.abort(error)), pingMs);
  try {
    return await run(repository, session, options, stop);
  } catch (error) {
    // What was stopped says so, each part in its way; why it was stopped is to the point.
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearInterval(keepAlive);
    options.signal?.removeEventListener("abort", onAbort);
    await session.end();
  }
}

async function run(
  repository: Repository,
  session: Session,
  options: BackupOptions,
  stop: AbortController,
): Promise<TakenBackup> {
  const { signal } = stop;
  const server = await readServerInfo(session);
  await repository.identityRecord(server.identity, { signal });
  checkArchiving(server);
  const claimed = await claimLabel(repository, session, server, options, stop);
  try {
    return await copyAndPublish(repository, session, { ...claimed, server, options, stop });
  } finally {
    await claimed.heartbeat.stop();
  }
}

interface ClaimedBackup extends ClaimedLabel {
  readonly server: ServerInfo;
  readonly options: BackupOptions;
  readonly stop: AbortController;
}

async function copyAndPublish(
  repository: Repository,
  session: Session,
  { server, label, heartbeat, options, stop }: ClaimedBackup,
): Promise<TakenBackup> {
  const { signal } = stop;
  const manifest = await ManifestWriter.begin(repository, server.identity, label, { level: options.level, signal });
  const pool = new WorkerPool(options.jobs);
  const uploader = new PackUploader({
    repository,
    identity: server.identity,
    label,
    manifest,
    pool,
    level: options.level,
    blockSize: server.blockSize,
    rate: options.rate === undefined ? undefined : options.rate / options.jobs,
    signal,
  });
  const fail = (error: unknown): void => stop.abort(error);
  const job: BackupJob = { options, identity: server.identity, server, label, uploader, manifest, fail, signal };
  try {
    const copied = await (options.remote ? copyRemotely(session, job) : copyLocally(session, job));
    await waitForWal(repository, session, {
      ...copied,
      identity: server.identity,
      walSegmentSize: server.walSegmentSize,
      timeoutMs: options.walTimeoutMs,
      inRecovery: server.inRecovery,
      purpose: { operation: "take base backup", why: "which the backup needs" },
      log: options.log,
      signal,
    });
    if (heartbeat.isLost) signal.throwIfAborted();
    return await publish(repository, job, copied);
  } catch (error) {
    stop.abort(error);
    await manifest.abort();
    throw error;
  } finally {
    await pool.close();
  }
}

/** Without archiving, a backup would never become complete; better to say so before it is copied. */
function checkArchiving(server: ServerInfo): void {
  if (server.inRecovery) return;
  if (server.archiveMode !== "off" && (server.archiveCommand !== "" || server.archiveLibrary !== "")) return;
  const problem = server.archiveMode === "off" ? "archive_mode is off" : "archive_command is empty";
  throw new PgarkError("refused", `${problem}, so the WAL that a backup needs would never arrive`, {
    operation: "take base backup",
    hint: `set archive_mode = on and archive_command = 'pgark wal-push %p', then ${server.archiveMode === "off" ? "restart" : "reload"} PostgreSQL`,
  });
}

async function publish(repository: Repository, job: BackupJob, copied: CopiedCluster): Promise<TakenBackup> {
  const { manifest, server, options, uploader, signal } = job;
  const written = await manifest.end();
  const record: BackupRecord = {
    label: job.label,
    type: "full",
    identity: server.identity,
    timeline: copied.timeline,
    startLsn: copied.startLsn,
    stopLsn: copied.stopLsn,
    startTime: copied.startTime,
    stopTime: copied.stopTime,
    walSegmentSize: server.walSegmentSize,
    source: server.inRecovery ? "standby" : "primary",
    method: options.remote ? "remote" : "local",
    serverVersion: server.serverVersion,
    dataChecksums: server.dataChecksums,
    encrypted: repository.encrypted,
    tablespaces: copied.tablespaces,
    files: manifest.files,
    bytes: manifest.bytes,
    storedBytes: uploader.storedBytes + written.size,
    packs: manifest.packs,
    badPages: Math.max(uploader.badPages.length, copied.checksumFailures ? 1 : 0),
    manifest: written,
    host: options.host,
    pgark: options.version,
  };
  const key = backupRecordKey(repository.cluster, server.identity, job.label);
  await repository.store.put(key, encodeBackupRecord(record), { ifAbsent: true, signal });
  return { record, warnings: copied.warnings, badPages: uploader.badPages };
}
