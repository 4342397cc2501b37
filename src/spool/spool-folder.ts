import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
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
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const each of [folder, dirname(folder)]) await checkPrivate(each);
  } catch (error) {
    throw ioError("use spool", folder, error);
  }
}

async function checkPrivate(folder: string): Promise<void> {
  const { uid, mode } = await stat(folder);
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return;
  throw new PgarkError("denied", "the folder is another user's, or others can write to it", {
    operation: "use spool",
    object: folder,
    hint: "what lies in the spool is believed: let PostgreSQL's user own it, mode 0700, or name another place (--spool)",
  });
}

/** Removes the sessions of earlier postmasters. Their processes have ended, or will when they notice. */
export async function sweepSessions(spool: string, current: string | undefined): Promise<void> {
  for (const name of await readdir(spool)) {
    const folder = join(spool, name);
    if (/^\d+-\d+$/.test(name) && folder !== current) await rm(folder, { recursive: true, force: true });
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
