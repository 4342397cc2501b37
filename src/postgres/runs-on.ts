import type { Session } from "./connection.ts";
import { readControlFile } from "./control-file.ts";
import { formatLsn } from "./lsn.ts";

/** A server on a standby writes its control file often; between our two looks at it, it may have changed this many times. */
const ATTEMPTS = 50;

/** The functions read the file that the server has. */
const QUERY = `
  SELECT concat_ws(' ', checkpoint_lsn, redo_lsn, min_recovery_end_lsn,
                   extract(epoch FROM pg_control_last_modified)::bigint) AS state
    FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery()`;

/**
 * Whether the server runs on the data directory that is seen here. A standby or a clone has the same system identifier, and
 * often the same path on another host: pages of one with the backup label of the other would be a backup that is silently
 * corrupt. The control files tell them apart.
 */
export async function runsOn(session: Session, pgdata: string): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [row] = await session.query(QUERY);
    if (row?.["state"] === describe(pgdata)) return true;
  }
  return false;
}

function describe(pgdata: string): string {
  const { checkpointLsn, redoLsn, minRecoveryPoint, modified } = readControlFile(pgdata);
  return `${formatLsn(checkpointLsn)} ${formatLsn(redoLsn)} ${formatLsn(minRecoveryPoint)} ${modified}`;
}
