import type { Log } from "../log.ts";
import type { Session } from "../postgres/connection.ts";

export interface ArchiverFailure {
  /** the WAL file that the server is trying to archive, in vain */
  readonly file: string;
  /** when it last tried, in UTC */
  readonly time: string;
}

const QUERY = `
  SELECT last_failed_wal, to_char(last_failed_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS failed_at
    FROM pg_stat_archiver
   WHERE last_failed_time > coalesce(last_archived_time, '-infinity')`;

/** What the server's archiver fails at; undefined when its last try was a success. */
export async function readArchiverFailure(session: Session): Promise<ArchiverFailure | undefined> {
  const [row] = await session.query(QUERY);
  const file = row?.["last_failed_wal"];
  return file === null || file === undefined ? undefined : { file, time: row?.["failed_at"] ?? "" };
}

/** Says when archiving begins to fail, and when it works again; once each. */
export class ArchiverWatch {
  readonly #session: Session;
  readonly #log: Log;
  #failing: string | undefined;

  constructor(session: Session, log: Log) {
    this.#session = session;
    this.#log = log;
  }

  async look(): Promise<void> {
    const failure = await readArchiverFailure(this.#session);
    if (failure?.file === this.#failing) return;
    this.#failing = failure?.file;
    if (failure === undefined) {
      this.#log.info("archiving works again");
      return;
    }
    const { file, time } = failure;
    this.#log.warn(
      `archiving of WAL segment ${file} is failing, last at ${time}; the backup waits for it: the reason is in PostgreSQL's log`,
      { segment: file, failedAt: time },
    );
  }
}
