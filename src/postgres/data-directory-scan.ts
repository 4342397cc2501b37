import { lstatSync, opendirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import type { Dir, Stats } from "node:fs";
import { join, sep } from "node:path";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import { silentLog } from "../log.ts";
import type { Log } from "../log.ts";
import { readControlFile, readMajorVersion } from "./control-file.ts";
import {
  databaseOfDirectory,
  isExcludedContents,
  isExcludedName,
  isTemporaryRelation,
  parseRelationName,
  relationOfInitFork,
  tablespaceVersionDirectory,
  walSubdirectories,
} from "./data-directory.ts";
import type { RelationFile } from "./data-directory.ts";

/** One thing that a base backup holds. Paths are relative to PGDATA, `/` between their parts. */
export type ScannedEntry =
  | {
      readonly kind: "file";
      readonly path: string;
      /** bytes, when it was scanned */
      readonly size: number;
      readonly mtimeMs: number;
      /** permission bits */
      readonly mode: number;
      /** undefined for files without data pages */
      readonly relation: RelationFile | undefined;
      /** where it is, when PGDATA has a symbolic link in its place; what is backed up is the content */
      readonly linkTarget?: string;
    }
  | {
      readonly kind: "directory";
      readonly path: string;
      readonly mode: number;
      /** as for files; `pg_wal` above all */
      readonly linkTarget?: string;
    }
  /** a link that is not followed: dangling, or to a directory that is none of PostgreSQL's */
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  /** comes before the entries under `path`, which lie at `location` */
  | { readonly kind: "tablespace"; readonly path: string; readonly oid: number; readonly location: string };

export interface ScanOptions {
  readonly log?: Log | undefined;
  /**
   * More directories (paths relative to PGDATA) to keep empty: where `stats_temp_directory` of PostgreSQL 14 points when it
   * is not `pg_stat_tmp`.
   */
  readonly excludeContents?: readonly string[] | undefined;
}

interface Scan {
  readonly pgdata: string;
  readonly log: Log;
  readonly majorVersion: number;
  readonly versionDirectory: string;
  readonly excludeContents: ReadonlySet<string>;
  /** real paths of tablespaces that lie inside PGDATA: they are scanned as tablespaces, not a second time in place */
  readonly tablespacesInside: ReadonlySet<string>;
}

/** A directory being scanned: where it is reached and where it really is. */
interface Place {
  /** relative to PGDATA, "" for PGDATA itself */
  readonly path: string;
  readonly realPath: string;
}

const CONTROL_FILE = "global/pg_control";

/**
 * The files of a base backup, each directory before what is in it and `global/pg_control` last: a backup from a standby is
 * consistent from the minimum recovery point in that file on, which must not be older than any page.
 *
 * Streams: holds the open directories and, for one directory of relations at a time, the numbers of its unlogged relations.
 * Files and directories that vanish while it scans are passed over; anything else that cannot be read is an error.
 */
export function* scanDataDirectory(
  pgdata: string,
  options: ScanOptions = {},
): Generator<ScannedEntry, void, undefined> {
  const scan = beginScan(pgdata, options);
  yield* scanDirectory(scan, { path: "", realPath: realpathSync(pgdata) });
  yield fileEntry(CONTROL_FILE, statOrThrow(join(pgdata, CONTROL_FILE)), undefined);
}

function beginScan(pgdata: string, options: ScanOptions): Scan {
  const majorVersion = readMajorVersion(pgdata);
  return {
    pgdata,
    log: options.log ?? silentLog,
    majorVersion,
    versionDirectory: tablespaceVersionDirectory(majorVersion, readControlFile(pgdata).catalogVersion),
    excludeContents: new Set(options.excludeContents),
    tablespacesInside: findTablespacesInside(pgdata),
  };
}

function findTablespacesInside(pgdata: string): ReadonlySet<string> {
  const inside = new Set<string>();
  const root = realpathSync(pgdata) + sep;
  for (const name of names(join(pgdata, "pg_tblspc"))) {
    const path = join(pgdata, "pg_tblspc", name);
    if (lstatIfThere(path)?.isSymbolicLink() !== true) continue;
    const location = realPathIfThere(path);
    if (location?.startsWith(root) === true) inside.add(location);
  }
  return inside;
}

function* scanDirectory(scan: Scan, place: Place): Generator<ScannedEntry, void, undefined> {
  const absolute = absolutePath(scan, place.path);
  const database = databaseOfDirectory(place.path);
  const unlogged = database === undefined ? undefined : unloggedRelations(absolute);
  for (const name of names(absolute)) {
    if (isExcludedName(place.path, name)) continue;
    const path = place.path === "" ? name : `${place.path}/${name}`;
    if (path === CONTROL_FILE) continue;
    if (name.includes("\uFFFD")) {
      scan.log.warn("left out a file whose name is not UTF-8", { path });
      continue;
    }
    const relation = database === undefined ? undefined : parseRelationName(database, name);
    if (relation !== undefined && relation.fork !== "init" && unlogged?.has(relation.relfilenode) === true) continue;
    if (database !== undefined && isTemporaryRelation(name)) continue;
    const stats = lstatIfThere(join(absolute, name));
    if (stats === undefined) continue;
    if (stats.isFile()) yield fileEntry(path, stats, relation);
    else if (stats.isDirectory()) yield* scanSubdirectory(scan, { path, realPath: join(place.realPath, name) }, stats);
    else if (stats.isSymbolicLink()) yield* scanLink(scan, place, path, relation);
    else scan.log.warn("left out a special file", { path });
  }
}

function* scanSubdirectory(
  scan: Scan,
  place: Place,
  stats: Stats,
  linkTarget?: string,
): Generator<ScannedEntry, void, undefined> {
  const { path } = place;
  const link = linkTarget === undefined ? {} : { linkTarget };
  const mode = stats.mode & 0o7777;
  yield { kind: "directory", path, mode, ...link };
  if (path === "pg_wal") {
    for (const name of walSubdirectories(scan.majorVersion)) yield { kind: "directory", path: `${path}/${name}`, mode };
    return;
  }
  if (isExcludedContents(path) || scan.excludeContents.has(path) || scan.tablespacesInside.has(place.realPath)) return;
  yield* scanDirectory(scan, place);
}

/**
 * pg_basebackup leaves links out, but for `pg_wal` and tablespaces, and so loses what is behind them. Here a linked file is
 * copied, and so is a linked directory that is PostgreSQL's own; it comes back in place of the link.
 */
function* scanLink(
  scan: Scan,
  parent: Place,
  path: string,
  relation: RelationFile | undefined,
): Generator<ScannedEntry, void, undefined> {
  const absolute = absolutePath(scan, path);
  const target = readLinkIfThere(absolute);
  if (target === undefined) return;
  if (/^pg_tblspc\/\d+$/.test(path)) {
    yield* scanTablespace(scan, path, target);
    return;
  }
  const stats = statIfThere(absolute);
  if (stats?.isFile() === true) {
    scan.log.info("backing up what a symbolic link points to", { path, target });
    yield { ...fileEntry(path, stats, relation), linkTarget: target };
  } else if (stats?.isDirectory() === true && isPostgresDirectory(path)) {
    const realPath = realPathIfThere(absolute);
    if (realPath === undefined) return;
    if (`${parent.realPath}${sep}`.startsWith(`${realPath}${sep}`)) {
      throw new PgarkError("refused", "a symbolic link leads back to a directory above it", {
        operation: "scan data directory",
        object: absolute,
        hint: "put a real directory in its place",
      });
    }
    scan.log.info("backing up what a symbolic link points to", { path, target });
    yield* scanSubdirectory(scan, { path, realPath }, stats, target);
  } else {
    scan.log.warn("left out a symbolic link and what it points to", { path, target });
    yield { kind: "symlink", path, target };
  }
}

function* scanTablespace(scan: Scan, path: string, location: string): Generator<ScannedEntry, void, undefined> {
  yield { kind: "tablespace", path, oid: Number(path.slice("pg_tblspc/".length)), location };
  const versionPath = `${path}/${scan.versionDirectory}`;
  const stats = statIfThere(absolutePath(scan, versionPath));
  const realPath = realPathIfThere(absolutePath(scan, versionPath));
  if (stats === undefined || realPath === undefined) {
    scan.log.warn("a tablespace has no directory of this cluster", { path, location });
    return;
  }
  yield { kind: "directory", path: versionPath, mode: stats.mode & 0o7777 };
  yield* scanDirectory(scan, { path: versionPath, realPath });
}

/** Directories in which a server keeps data; anything else linked into PGDATA (a log directory, say) is somebody else's. */
function isPostgresDirectory(path: string): boolean {
  const top = path.split("/", 1)[0] ?? "";
  return top === "base" || top === "global" || (top.startsWith("pg_") && top !== "pg_log");
}

function unloggedRelations(directory: string): ReadonlySet<number> {
  const relations = new Set<number>();
  for (const name of names(directory)) {
    const relation = relationOfInitFork(name);
    if (relation !== undefined) relations.add(relation);
  }
  return relations;
}

/** The names in a directory, one at a time; none when it is gone. */
function* names(directory: string): Generator<string, void, undefined> {
  let dir: Dir;
  try {
    dir = opendirSync(directory, { bufferSize: 256 });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw ioError("scan data directory", directory, error);
  }
  try {
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) yield entry.name;
  } finally {
    dir.closeSync();
  }
}

function fileEntry(path: string, stats: Stats, relation: RelationFile | undefined): ScannedEntry & { kind: "file" } {
  return { kind: "file", path, size: stats.size, mtimeMs: stats.mtimeMs, mode: stats.mode & 0o7777, relation };
}

function absolutePath(scan: Scan, path: string): string {
  return path === "" ? scan.pgdata : join(scan.pgdata, path);
}

function statOrThrow(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw ioError("scan data directory", path, error);
  }
}

function lstatIfThere(path: string): Stats | undefined {
  return ifThere(path, () => lstatSync(path));
}

/** Follows links; a dangling one, or one in a circle, is not there. */
function statIfThere(path: string): Stats | undefined {
  return ifThere(path, () => statSync(path));
}

function readLinkIfThere(path: string): string | undefined {
  return ifThere(path, () => readlinkSync(path));
}

function realPathIfThere(path: string): string | undefined {
  return ifThere(path, () => realpathSync(path));
}

function ifThere<T>(path: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ELOOP" || errno === "ENOTDIR") return undefined;
    throw ioError("scan data directory", path, error);
  }
}
