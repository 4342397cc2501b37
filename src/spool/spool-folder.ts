import type { Stats } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import type { Postmaster } from "../postgres/postmaster-file.ts";

/** What a session is for: acknowledgements of archive_command, or files for restore_command. */
export type SpoolRole = "push" | "fetch";

/**
 * Where the spool of a data directory lies: beside it, so that a fetched file gets into place by a rename; or below the
 * directory that was named. `bin/pgark` says the same in shell.
 *
 * @param pgdata absolute, without symbolic links
 */
export function spoolFolder(named: string | undefined, pgdata: string): string {
  return named === undefined ? `${pgdata}.pgark-spool` : join(named, pgdata);
}

/** The folder of one life of a postmaster: what was true in an earlier one counts for nothing. */
export function sessionFolder(spool: string, postmaster: Postmaster): string {
  return join(spool, `${postmaster.pid}-${postmaster.started}`);
}

/** Creates a folder that nobody else can write to. Throws `denied` when it is another user's, or open to others. */
export async function makePrivateFolder(folder: string): Promise<void> {
  let found: Stats;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    found = await stat(folder);
  } catch (error) {
    throw ioError("use spool", folder, error);
  }
  if (found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return;
  throw new PgarkError("denied", "the folder is another user's, or others can write to it", {
    operation: "use spool",
    object: folder,
    hint: "what lies in the spool is believed: let PostgreSQL's user own it, mode 0700, or name another place (--spool)",
  });
}

/**
 * Removes what counts for nothing any more. It need not succeed: a process that has not noticed yet may still write there, and
 * whoever comes next tries again.
 */
export async function tryToRemove(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true }).catch(() => undefined);
}

/** Removes the sessions of earlier postmasters. */
export async function sweepSessions(spool: string, current: string | undefined): Promise<void> {
  for (const name of await readdir(spool)) {
    const folder = join(spool, name);
    if (/^\d+-\d+$/.test(name) && folder !== current) await tryToRemove(folder);
  }
}

/** Removes all sessions of a data directory: it is about to become another cluster's. */
export async function wipeSpool(spool: string): Promise<void> {
  try {
    await sweepSessions(spool, undefined);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw ioError("wipe spool", spool, error);
  }
}
