import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { errnoOf, ioError, isPgarkError, PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";

/** Stands in a data directory while it is being restored, so that the next try knows that it may begin anew. */
export const markerName = "pgark.restoring";
/** Without it no server starts. */
export const controlFile = "global/pg_control";

export interface TargetDirectories {
  readonly pgdata: string;
  /** where tablespaces go, by oid */
  readonly tablespaces: ReadonlyMap<number, string>;
  /** where `pg_wal` goes when not into PGDATA */
  readonly waldir: string | undefined;
}

/**
 * Makes the directories of a restore ready: absent or empty, or left by a restore that did not finish, in which case they are
 * emptied. Refuses anything else; nothing of anybody's is ever removed.
 */
export function prepareTarget(target: TargetDirectories, bytes: number, log: Log): void {
  const marker = path.join(target.pgdata, markerName);
  const unfinished = readMarker(marker);
  if (unfinished !== undefined && neverStarted(target.pgdata)) {
    log.info(`beginning anew: an earlier restore into ${target.pgdata} did not finish`);
    for (const directory of [...unfinished, target.pgdata]) empty(directory);
  }
  const all = [target.pgdata, ...target.tablespaces.values(), ...(target.waldir === undefined ? [] : [target.waldir])];
  refuseOverlap(all);
  for (const directory of all) refuseOccupied(directory);
  for (const directory of all) create(directory);
  refuseTooSmall(target, bytes);
  try {
    const content = `${JSON.stringify({ directories: all.slice(1) })}\n`;
    writeFileSync(marker, content, { mode: 0o600, flush: true });
    if (target.waldir !== undefined) symlinkSync(target.waldir, path.join(target.pgdata, "pg_wal"));
    if (target.tablespaces.size > 0) create(path.join(target.pgdata, "pg_tblspc"));
    for (const [oid, directory] of target.tablespaces) {
      symlinkSync(directory, path.join(target.pgdata, "pg_tblspc", String(oid)));
    }
  } catch (error) {
    throw isPgarkError(error) ? error : ioError("prepare directory", target.pgdata, error);
  }
}

/** Says that the restore is whole. */
export function removeMarker(pgdata: string): void {
  rmSync(path.join(pgdata, markerName), { force: true });
}

/**
 * Whether what an earlier restore left has never been a server's: it cannot start, or it is whole (the restore died just before
 * it could say so) and still as it was restored. A server's first start writes `postmaster.opts` and takes the label away.
 */
function neverStarted(pgdata: string): boolean {
  const has = (name: string): boolean => existsSync(path.join(pgdata, name));
  return !has(controlFile) || (has("backup_label") && !has("postmaster.opts"));
}

function readMarker(marker: string): readonly string[] | undefined {
  try {
    const content = JSON.parse(readFileSync(marker, "utf8")) as { readonly directories?: unknown };
    const { directories } = content;
    return Array.isArray(directories) ? directories.filter((item) => typeof item === "string") : [];
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    return []; // cut short by a crash: there was nothing else yet
  }
}

function refuseOccupied(directory: string): void {
  const names = entriesOf(directory);
  if (names.length === 0) return;
  const running = names.includes("postmaster.pid");
  throw new PgarkError(
    "refused",
    running ? "a server is running there, or was when it crashed" : "the directory is not empty",
    {
      operation: "restore",
      object: directory,
      hint: running
        ? "stop it (pg_ctl stop) and move the directory away, or restore into another one"
        : "restore into an empty directory, or move this one away; a tablespace's place is changed with --tablespace old=new",
    },
  );
}

function refuseOverlap(directories: readonly string[]): void {
  for (const [index, one] of directories.entries()) {
    const other = directories.find((candidate, at) => at !== index && `${one}/`.startsWith(`${candidate}/`));
    if (other === undefined) continue;
    throw new PgarkError("refused", `the directory lies within another one of the restore, ${other}`, {
      operation: "restore",
      object: one,
      hint: "give each tablespace, and pg_wal, a directory of its own: --tablespace old=new, --waldir",
    });
  }
}

function refuseTooSmall(target: TargetDirectories, bytes: number): void {
  // With tablespaces elsewhere it is not known here what goes where.
  if (target.tablespaces.size > 0) return;
  const { bavail, bsize } = statfsSync(target.pgdata);
  if (bavail * bsize >= bytes) return;
  throw new PgarkError("refused", `the file system has ${bavail * bsize} bytes left and the backup needs ${bytes}`, {
    operation: "restore",
    object: target.pgdata,
    hint: "free some space, or restore to another file system",
  });
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw ioError("restore", directory, error);
  }
}

/**
 * Killed in the middle, the directory must not start, and the next try must find the marker again: the control file goes
 * first, the marker last.
 */
function empty(directory: string): void {
  const names = entriesOf(directory).filter((name) => name !== markerName);
  try {
    for (const name of [controlFile, ...names, markerName])
      rmSync(path.join(directory, name), { recursive: true, force: true });
  } catch (error) {
    throw ioError("empty directory", directory, error);
  }
}

function create(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw ioError("create directory", directory, error);
  }
}
