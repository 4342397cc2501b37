import { isPgarkError, PgarkError, throwIfAborted } from "../errors.ts";
import { BaseBackupQuery } from "./base-backup-query.ts";
import type { BaseBackupSink, ServerNotice } from "./base-backup-sink.ts";
import type { Session } from "./connection.ts";
import { showSetting } from "./connection.ts";
import type { Lsn } from "./lsn.ts";
import { postgresError, sqlstateOf } from "./postgres-error.ts";
import { OLDEST_MAJOR_VERSION } from "./server-info.ts";
import type { TimelineId } from "./timeline.ts";

export interface BaseBackupOptions {
  /** for PostgreSQL's `backup_label` */
  readonly label: string;
  /** an immediate checkpoint at the beginning */
  readonly fast: boolean;
  /** bytes a second that the server may send; PostgreSQL takes 32 KiB to 1 GiB */
  readonly maxRate?: number | undefined;
  /** let the server check page checksums as it reads (its default, where the cluster has them) */
  readonly verifyChecksums?: boolean | undefined;
  /** let the server add up the sizes first, which takes a walk over all files */
  readonly estimateSize?: boolean | undefined;
  /**
   * Oids of the in-place tablespaces that the cluster has. PostgreSQL 14 and 15 leave them out of a streamed backup without
   * a word; with this, such a backup is refused as soon as it begins.
   */
  readonly inPlaceTablespaces?: readonly number[] | undefined;
  /** warnings of the server, those about page checksums above all */
  readonly onNotice?: ((notice: ServerNotice) => void) | undefined;
  /** ends the session */
  readonly signal?: AbortSignal | undefined;
}

export interface BaseBackupResult {
  readonly startLsn: Lsn;
  readonly startTimeline: TimelineId;
  /** all WAL from `startLsn` to here is needed */
  readonly stopLsn: Lsn;
  readonly stopTimeline: TimelineId;
  /** the server found pages whose checksum does not hold; all data was sent nevertheless, and notices name the files */
  readonly checksumFailures: boolean;
}

/** The fields of the driver's notices that are of use. */
interface DriverNotice {
  readonly severity?: string | undefined;
  readonly message?: string | undefined;
  readonly code?: string | undefined;
}

const OPERATION = "take base backup";
const DATA_CORRUPTED = "XX001";

/**
 * Takes a base backup over the replication protocol (BASE_BACKUP, src/backend/backup/basebackup.c) and hands it to `sink` as
 * it comes: for each tablespace a tar archive, PGDATA's own last, then `backup_manifest`. Does not wait for WAL to be
 * archived and sends none. The session must be one with `replication`, and is of no use after an error.
 *
 * A promise that the sink returns holds the server back: at most one read of the socket (64 KiB) waits meanwhile. What the
 * sink throws ends the session and is thrown here; `aborted` and `postgres` otherwise.
 */
export async function streamBaseBackup(
  session: Session,
  options: BaseBackupOptions,
  sink: BaseBackupSink,
): Promise<BaseBackupResult> {
  throwIfAborted(options.signal, OPERATION);
  const majorVersion = await readServerMajorVersion(session);
  const query = new BaseBackupQuery({
    sql: baseBackupCommand(majorVersion, options),
    singleCopy: majorVersion >= 15,
    sink: refuseMissingTablespaces(sink, options.inPlaceTablespaces ?? []),
  });
  const notice = (message: DriverNotice): void => options.onNotice?.(readNotice(message));
  const abort = (): void =>
    query.cancel(new PgarkError("aborted", "stopped", { operation: OPERATION, cause: options.signal?.reason }));
  session.client.on("notice", notice);
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    session.client.query(query);
    return { ...(await query.result), checksumFailures: false };
  } catch (error) {
    const complete = query.complete();
    if (complete !== undefined && isChecksumFailure(error)) return { ...complete, checksumFailures: true };
    if (isPgarkError(error) || query.failedInSink) throw error;
    throw postgresError(OPERATION, session.target, error);
  } finally {
    options.signal?.removeEventListener("abort", abort);
    session.client.off("notice", notice);
  }
}

/** The last word of a server that found damaged pages; it comes after all data, the manifest and the stop position. */
export function isChecksumFailure(error: unknown): boolean {
  return (
    sqlstateOf(error) === DATA_CORRUPTED &&
    error instanceof Error &&
    /checksum verification failure/.test(error.message)
  );
}

/** The BASE_BACKUP command; 15 gave it a new grammar. */
export function baseBackupCommand(majorVersion: number, options: BaseBackupOptions): string {
  const label = quoteLiteral(options.label);
  const rate = options.maxRate === undefined ? undefined : clamp(Math.floor(options.maxRate / 1024), 32, 1024 * 1024);
  const progress = options.estimateSize === true;
  const verify = options.verifyChecksums !== false;
  if (majorVersion >= 15) {
    const words = [
      `LABEL ${label}`,
      ...(progress ? ["PROGRESS"] : []),
      `CHECKPOINT '${options.fast ? "fast" : "spread"}'`,
    ];
    words.push("WAIT false", ...(rate === undefined ? [] : [`MAX_RATE ${rate}`]), "TABLESPACE_MAP");
    words.push(`VERIFY_CHECKSUMS ${verify}`, "MANIFEST 'yes'", "MANIFEST_CHECKSUMS 'CRC32C'");
    return `BASE_BACKUP (${words.join(", ")})`;
  }
  const words = [`BASE_BACKUP LABEL ${label}`, ...(progress ? ["PROGRESS"] : []), ...(options.fast ? ["FAST"] : [])];
  words.push("NOWAIT", ...(rate === undefined ? [] : [`MAX_RATE ${rate}`]), "TABLESPACE_MAP");
  words.push(...(verify ? [] : ["NOVERIFY_CHECKSUMS"]), "MANIFEST 'yes'", "MANIFEST_CHECKSUMS 'CRC32C'");
  return words.join(" ");
}

/** What IDENTIFY_SYSTEM answers: works without a database, on primaries and standbys. */
export async function identifySystem(
  session: Session,
): Promise<{ readonly systemIdentifier: bigint; readonly timeline: TimelineId }> {
  const [row] = await session.query("IDENTIFY_SYSTEM");
  if (typeof row?.["systemid"] !== "string" || typeof row["timeline"] !== "string") {
    throw new PgarkError("postgres", "unexpected answer of the server to IDENTIFY_SYSTEM", {
      operation: OPERATION,
      object: session.target,
    });
  }
  return { systemIdentifier: BigInt(row["systemid"]), timeline: Number(row["timeline"]) as TimelineId };
}

function refuseMissingTablespaces(sink: BaseBackupSink, inPlace: readonly number[]): BaseBackupSink {
  return {
    begin: (info) => {
      const missing = inPlace.filter((oid) => !info.tablespaces.some((tablespace) => tablespace.oid === oid));
      if (missing.length === 0) return sink.begin(info);
      throw new PgarkError("refused", `the server leaves in-place tablespace ${missing.join(", ")} out of the backup`, {
        operation: OPERATION,
        hint: "take the backup on the server's own host, or move the tablespace's tables elsewhere and drop it",
        facts: { tablespaces: missing },
      });
    },
    archive: (info) => sink.archive(info),
    data: (chunk) => sink.data(chunk),
    manifest: (chunk) => sink.manifest(chunk),
  };
}

async function readServerMajorVersion(session: Session): Promise<number> {
  const version = Number(await showSetting(session, "server_version_num"));
  const majorVersion = Math.floor(version / 10000);
  if (majorVersion >= OLDEST_MAJOR_VERSION) return majorVersion;
  throw new PgarkError("refused", `the server is PostgreSQL ${majorVersion}`, {
    operation: OPERATION,
    object: session.target,
    hint: `pgark needs PostgreSQL ${OLDEST_MAJOR_VERSION} or newer`,
  });
}

function readNotice(message: DriverNotice): ServerNotice {
  return { severity: message.severity ?? "", message: message.message ?? "", sqlstate: message.code };
}

/** The replication grammar knows doubled quotes and no backslashes. */
function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
