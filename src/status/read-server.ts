import type { Row, Session } from "../postgres/connection.ts";
import { parseLsn } from "../postgres/lsn.ts";
import { readServerInfo } from "../postgres/server-info.ts";
import type { ArchiverEvent, ServerFacts } from "./status-facts.ts";

/** Times as ages, so that the server's clock does not matter to them. Its own time comes last, nearest to our reading it. */
const QUERY = `
  SELECT archived_count, failed_count, last_archived_wal, last_failed_wal,
         extract(epoch FROM clock_timestamp() - last_archived_time) * 1000 AS archived_age,
         extract(epoch FROM clock_timestamp() - last_failed_time) * 1000 AS failed_age,
         last_failed_time > coalesce(last_archived_time, '-infinity') AS failing,
         CASE WHEN pg_is_in_recovery()
           THEN coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')
           ELSE pg_current_wal_insert_lsn()
         END AS position,
         extract(epoch FROM clock_timestamp()) * 1000 AS now
    FROM pg_stat_archiver`;

/** What a running server says of its archiving; needs no privilege but pg_read_all_settings, and even that only for details. */
export async function readServer(session: Session, now: () => Date): Promise<ServerFacts> {
  const info = await readServerInfo(session);
  const [row = {}] = await session.query(QUERY);
  const received = now();
  const { archiveCommand, archiveLibrary } = info;
  return {
    target: session.target,
    identity: info.identity,
    serverVersion: info.serverVersion,
    inRecovery: info.inRecovery,
    timeline: info.timeline,
    position: parseLsn(row["position"] ?? "0/0"),
    archiveMode: info.archiveMode,
    archiveSet: archiveCommand === undefined ? undefined : archiveCommand !== "" || archiveLibrary !== "",
    archiveTimeoutSeconds: info.archiveTimeoutSeconds,
    clockAheadMs: Math.round(Number(row["now"] ?? received.getTime()) - received.getTime()),
    archiver: {
      archived: Number(row["archived_count"] ?? 0),
      failed: Number(row["failed_count"] ?? 0),
      lastArchived: eventOf(row, "last_archived_wal", "archived_age", received),
      lastFailed: eventOf(row, "last_failed_wal", "failed_age", received),
      failing: row["failing"] === "t",
    },
  };
}

function eventOf(row: Row, name: string, age: string, now: Date): ArchiverEvent | undefined {
  const [file, ageMs] = [row[name], row[age]];
  if (typeof file !== "string" || typeof ageMs !== "string") return undefined;
  return { name: file, time: new Date(now.getTime() - Number(ageMs)) };
}
