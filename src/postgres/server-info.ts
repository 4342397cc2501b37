import { PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "./cluster-identity.ts";
import type { Row, Session } from "./connection.ts";
import { timelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";

/** What a running server says of itself, as far as it matters to backups. */
export interface ServerInfo {
  readonly identity: ClusterIdentity;
  /** as the server says it, "17.10" */
  readonly serverVersion: string;
  /** undefined when the role may not see it (pg_read_all_settings) */
  readonly dataDirectory: string | undefined;
  /** where PostgreSQL 14 keeps temporary statistics; undefined for later versions, or when the role may not see it */
  readonly statsTempDirectory: string | undefined;
  readonly catalogVersion: number;
  /** bytes */
  readonly walSegmentSize: number;
  /** bytes of a data page */
  readonly blockSize: number;
  readonly dataChecksums: boolean;
  readonly inRecovery: boolean;
  /** that WAL is being written on, or replayed from */
  readonly timeline: TimelineId;
  readonly archiveMode: "off" | "on" | "always";
  /** undefined when the role may not see it */
  readonly archiveCommand: string | undefined;
  /** empty before PostgreSQL 15 and when `archiveCommand` counts */
  readonly archiveLibrary: string;
  readonly archiveTimeoutSeconds: number;
  readonly walLevel: "minimal" | "replica" | "logical";
  readonly fullPageWrites: boolean;
  readonly walLogHints: boolean;
  /** PostgreSQL 17 and later: WAL summaries are being written */
  readonly summarizeWal: boolean;
  readonly maxWalSenders: number;
  /** without the two that every cluster has */
  readonly tablespaces: readonly ServerTablespace[];
  /** the role of the session */
  readonly isSuperuser: boolean;
  readonly mayReplicate: boolean;
}

export interface ServerTablespace {
  readonly oid: number;
  /** undefined for an in-place tablespace, which lies inside PGDATA */
  readonly location: string | undefined;
}

/** The oldest major version that pgark works with. */
export const OLDEST_MAJOR_VERSION = 14;

/**
 * pg_settings rather than current_setting(): it leaves out what the role may not see instead of failing. On a standby the
 * timeline is the newest that any part of the server speaks of, since the control file lags behind replay.
 */
const QUERY = `
  SELECT s.*, system_identifier, catalog_version_no, pg_is_in_recovery() AS in_recovery,
         rolsuper, rolreplication OR rolsuper AS may_replicate,
         pg_size_bytes(current_setting('wal_segment_size')) AS wal_segment_size,
         CASE WHEN pg_is_in_recovery()
           THEN greatest(timeline_id, min_recovery_end_timeline, (SELECT received_tli FROM pg_stat_wal_receiver))
         END AS replay_timeline,
         CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS wal_timeline
    FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery(), pg_roles,
         (SELECT max(setting) FILTER (WHERE name = 'server_version') AS server_version,
                 max(setting) FILTER (WHERE name = 'server_version_num') AS server_version_num,
                 max(setting) FILTER (WHERE name = 'data_directory') AS data_directory,
                 max(setting) FILTER (WHERE name = 'stats_temp_directory') AS stats_temp_directory,
                 max(setting) FILTER (WHERE name = 'block_size') AS block_size,
                 max(setting) FILTER (WHERE name = 'data_checksums') AS data_checksums,
                 max(setting) FILTER (WHERE name = 'archive_mode') AS archive_mode,
                 max(setting) FILTER (WHERE name = 'archive_command') AS archive_command,
                 max(setting) FILTER (WHERE name = 'archive_library') AS archive_library,
                 max(setting) FILTER (WHERE name = 'archive_timeout') AS archive_timeout,
                 max(setting) FILTER (WHERE name = 'wal_level') AS wal_level,
                 max(setting) FILTER (WHERE name = 'full_page_writes') AS full_page_writes,
                 max(setting) FILTER (WHERE name = 'wal_log_hints') AS wal_log_hints,
                 max(setting) FILTER (WHERE name = 'summarize_wal') AS summarize_wal,
                 max(setting) FILTER (WHERE name = 'max_wal_senders') AS max_wal_senders
            FROM pg_settings) AS s
   WHERE rolname = current_user`;

/** An in-place tablespace has a location relative to PGDATA. */
const TABLESPACES_QUERY = `
  SELECT oid, pg_tablespace_location(oid) AS location
    FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid`;

/** Asks a server (14 to 18, primary or standby) for what backups need to know; throws `refused` for an older one. */
export async function readServerInfo(session: Session): Promise<ServerInfo> {
  await refuseOldServer(session);
  const row = (await session.query(QUERY))[0];
  if (row === undefined) throw unexpected("no row");
  const tablespaces = await session.query(TABLESPACES_QUERY);
  const text = (name: string): string => row[name] ?? missing(name);
  return {
    identity: {
      majorVersion: Math.floor(Number(text("server_version_num")) / 10000),
      // the function returns a signed number
      systemIdentifier: BigInt.asUintN(64, BigInt(text("system_identifier"))),
    },
    // Debian's builds add "(Debian ...)"
    serverVersion: text("server_version").split(" ", 1)[0] ?? "",
    dataDirectory: row["data_directory"] ?? undefined,
    statsTempDirectory: row["stats_temp_directory"] ?? undefined,
    catalogVersion: Number(text("catalog_version_no")),
    walSegmentSize: Number(text("wal_segment_size")),
    blockSize: Number(text("block_size")),
    dataChecksums: text("data_checksums") === "on",
    inRecovery: text("in_recovery") === "t",
    timeline: readTimeline(row),
    archiveMode: text("archive_mode") as ServerInfo["archiveMode"],
    archiveCommand: row["archive_command"] ?? undefined,
    archiveLibrary: row["archive_library"] ?? "",
    archiveTimeoutSeconds: Number(text("archive_timeout")),
    walLevel: text("wal_level") as ServerInfo["walLevel"],
    fullPageWrites: text("full_page_writes") === "on",
    walLogHints: text("wal_log_hints") === "on",
    summarizeWal: row["summarize_wal"] === "on",
    maxWalSenders: Number(text("max_wal_senders")),
    tablespaces: tablespaces.map(({ oid, location }) => ({
      oid: Number(oid),
      location: location?.startsWith("/") === true ? location : undefined,
    })),
    isSuperuser: text("rolsuper") === "t",
    mayReplicate: text("may_replicate") === "t",
  };
}

async function refuseOldServer(session: Session): Promise<void> {
  const [row] = await session.query("SELECT current_setting('server_version_num') AS version");
  const majorVersion = Math.floor(Number(row?.["version"] ?? 0) / 10000);
  if (majorVersion >= OLDEST_MAJOR_VERSION) return;
  throw new PgarkError("refused", `the server is PostgreSQL ${majorVersion}`, {
    operation: "read server settings",
    object: session.target,
    hint: `pgark needs PostgreSQL ${OLDEST_MAJOR_VERSION} or newer`,
  });
}

function readTimeline(row: Row): TimelineId {
  const written = row["wal_timeline"];
  if (typeof written === "string") return timelineId(Number.parseInt(written, 16));
  return timelineId(Number(row["replay_timeline"] ?? missing("timeline")));
}

function missing(name: string): never {
  throw unexpected(`no ${name}`);
}

function unexpected(problem: string): PgarkError {
  return new PgarkError("postgres", `unexpected answer of the server: ${problem}`, {
    operation: "read server settings",
  });
}
