import { PgarkError } from "../errors.ts";
import type { Session } from "./connection.ts";
import { parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { timelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";

/** Where replay would begin if the server crashed now. */
export interface RedoPosition {
  readonly timeline: TimelineId;
  readonly lsn: Lsn;
  /** the server's clock when it said so */
  readonly time: Date;
}

/**
 * Asks for the redo position of the last checkpoint, or restartpoint on a standby. It never moves back, and a base backup
 * begins at that of a later one: so no backup that begins after this needs WAL from before it. (On a standby it lies in the
 * past, by however much replay lags behind; `pg_last_wal_replay_lsn()` would be too late.) Every role may ask.
 */
export async function readRedoPosition(session: Session): Promise<RedoPosition> {
  const [row] = await session.query(
    `SELECT redo_lsn, timeline_id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
       FROM pg_control_checkpoint()`,
  );
  const [redo, timeline, now] = [row?.["redo_lsn"], row?.["timeline_id"], row?.["now"]];
  if (typeof redo !== "string" || typeof timeline !== "string" || typeof now !== "string") {
    throw new PgarkError("postgres", "unexpected answer of the server: no redo position", {
      operation: "read redo position",
      object: session.target,
    });
  }
  return { timeline: timelineId(Number(timeline)), lsn: parseLsn(redo), time: new Date(Number(now)) };
}
