import { PgarkError } from "../errors.ts";
import { parseBackupLabel } from "./backup-label.ts";
import type { Row, Session } from "./connection.ts";
import { parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { timelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";

export interface BeginBackupOptions {
  /** for PostgreSQL's `backup_label`, up to 1024 bytes */
  readonly label: string;
  /** an immediate checkpoint, at the cost of a burst of writes; otherwise it takes its time (checkpoint_completion_target) */
  readonly fast: boolean;
}

export interface BegunBackup {
  readonly startLsn: Lsn;
  /** undefined on a standby, which tells with the backup's end */
  readonly timeline: TimelineId | undefined;
  /** by the server's clock, when it was ready to be copied */
  readonly startTime: Date;
}

export interface EndedBackup {
  /** all WAL before this is needed */
  readonly stopLsn: Lsn;
  /** the content of `backup_label`, which the restored data directory must have */
  readonly labelFile: string;
  /** the content of `tablespace_map`, empty when there are no tablespaces */
  readonly tablespaceMap: string;
  /** that the backup began and ended on */
  readonly timeline: TimelineId;
  /** by the server's clock */
  readonly stopTime: Date;
}

/**
 * Brings the server into backup mode, bound to this session: ending the session in whatever way ends the backup. Waits for a
 * checkpoint. From here on, and until `endBackup`, what is copied of PGDATA can be made consistent by WAL.
 */
export async function beginBackup(session: Session, options: BeginBackupOptions): Promise<BegunBackup> {
  const call = (await isBefore15(session)) ? "pg_start_backup($1, $2, false)" : "pg_backup_start($1, $2)";
  const row = await queryRow(
    session,
    `SELECT lsn, ${SERVER_CLOCK} AS time,
            CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(lsn), 1, 8) END AS timeline
       FROM ${call} AS lsn`,
    [options.label, options.fast],
  );
  const timeline = row["timeline"];
  return {
    startLsn: parseLsn(row["lsn"] ?? ""),
    timeline: typeof timeline === "string" ? timelineId(Number.parseInt(timeline, 16)) : undefined,
    startTime: readClock(row),
  };
}

/**
 * Ends the backup mode that `beginBackup` began on the same session. Does not wait for WAL to be archived: that is the
 * caller's part, who knows what has arrived in the repository. Throws `refused` when a standby followed its primary to another
 * timeline meanwhile: such a backup needs WAL of both.
 */
export async function endBackup(session: Session): Promise<EndedBackup> {
  const call = (await isBefore15(session)) ? "pg_stop_backup(false, false)" : "pg_backup_stop(false)";
  const row = await queryRow(session, `SELECT lsn, labelfile, spcmapfile, ${SERVER_CLOCK} AS time FROM ${call}`, []);
  const labelFile = row["labelfile"] ?? "";
  const label = parseBackupLabel(labelFile);
  if (label.from === "standby") {
    const [recovery] = await session.query("SELECT min_recovery_end_timeline AS timeline FROM pg_control_recovery()");
    requireOneTimeline(label.startTimeline, Number(recovery?.["timeline"]));
  }
  return {
    stopLsn: parseLsn(row["lsn"] ?? ""),
    labelFile,
    tablespaceMap: row["spcmapfile"] ?? "",
    timeline: label.startTimeline,
    stopTime: readClock(row),
  };
}

/** Throws `refused` for a backup that ended on another timeline than it began on. */
export function requireOneTimeline(start: TimelineId, stop: number): void {
  if (start === stop) return;
  throw new PgarkError("refused", `the server left timeline ${start} during the backup`, {
    operation: "take base backup",
    hint: "take the backup again; from a standby, after the next checkpoint of its new primary (CHECKPOINT makes one)",
    facts: { start, stop },
  });
}

/** Milliseconds since 1970: no time zone or date style to go wrong. */
const SERVER_CLOCK = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

function readClock(row: Row): Date {
  return new Date(Number(row["time"]));
}

/** 15 renamed the functions and dropped the exclusive mode. */
async function isBefore15(session: Session): Promise<boolean> {
  const row = await queryRow(session, "SELECT current_setting('server_version_num') AS version", []);
  return Number(row["version"]) < 150000;
}

async function queryRow(session: Session, sql: string, params: readonly (string | boolean)[]): Promise<Row> {
  const [row] = await session.query(sql, params);
  if (row !== undefined) return row;
  throw new PgarkError("postgres", "unexpected answer of the server: no row", {
    operation: "back up",
    object: session.target,
  });
}
