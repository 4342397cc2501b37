import { mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SessionOptions } from "../../src/spool/session.ts";
import { SpoolSession } from "../../src/spool/session.ts";
import { spoolFolder } from "../../src/spool/spool-folder.ts";
import type { SpoolRole } from "../../src/spool/spool-folder.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

/** No process can have this number: Linux ends at 2^22. */
export const DEAD = 4194305;

/** Begins with the real time, which files have that nobody gives another one, and goes on as it is told. */
export class Clock {
  #now = Date.now();

  readonly now = (): Date => new Date(this.#now);

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }
}

export interface DataDirectory extends AsyncDisposable {
  readonly pgdata: string;
  readonly spool: string;
}

/** What the spool needs of a data directory in which a postmaster runs. */
export async function dataDirectory(): Promise<DataDirectory> {
  const temporary = await temporaryDirectory("pgark-spool");
  const pgdata = join(await realpath(temporary.path), "data");
  await mkdir(join(pgdata, "pg_wal/archive_status"), { recursive: true });
  await writePostmaster(pgdata, "1763632800");
  return {
    pgdata,
    spool: spoolFolder(undefined, pgdata),
    [Symbol.asyncDispose]: async () => temporary[Symbol.asyncDispose](),
  };
}

/** This process is the postmaster: that one lives. */
export async function writePostmaster(pgdata: string, started: string, pid = process.pid): Promise<void> {
  await writeFile(join(pgdata, "postmaster.pid"), `${pid}\n${pgdata}\n${started}\n5432\n`);
}

export function sessionOptions(
  { pgdata, spool }: DataDirectory,
  role: SpoolRole,
  changes: Partial<SessionOptions> = {},
): SessionOptions {
  return {
    role,
    pgdata,
    postmaster: { pid: process.pid, started: "1763632800" },
    spool,
    words: "8:wal-push,",
    configFile: undefined,
    configuredAt: new Date(),
    ...changes,
  };
}

/** Enters a session that nobody else is in. */
export async function enter(options: SessionOptions, now: Date): Promise<SpoolSession> {
  const session = await SpoolSession.enter(options, now);
  if (session === undefined) throw new Error("another process answers in this session");
  return session;
}

/** The folder that holds `words` and `pid`. */
export function homeOf({ spool, postmaster, role }: SessionOptions): string {
  return join(spool, `${postmaster.pid}-${postmaster.started}`, role);
}
