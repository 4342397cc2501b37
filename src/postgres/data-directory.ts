/**
 * Which files of a data directory belong into a base backup: the rules of src/backend/backup/basebackup.c of PostgreSQL 14 to
 * 18, as functions of names alone. Paths are relative to PGDATA with `/` between their parts; files of a tablespace have the
 * paths under which the server reaches them, `pg_tblspc/<oid>/PG_<major>_<catalog version>/...`.
 */

export type RelationFork = "main" | "fsm" | "vm" | "init";

/** A file that holds pages of a relation; all its forks have page checksums where the cluster has. */
export interface RelationFile {
  /** oid of the database, 0 for the shared relations in `global` */
  readonly database: number;
  readonly relfilenode: number;
  readonly fork: RelationFork;
  /** number of the file within the fork: the first has no suffix, the next is `.1` */
  readonly segment: number;
}

/**
 * Directories whose contents a server removes or makes anew when it starts; they are kept, empty. `pg_wal` is not among
 * them, for it keeps folders of its own.
 */
const EXCLUDED_CONTENTS: ReadonlySet<string> = new Set([
  "pg_stat_tmp",
  "pg_replslot",
  "pg_dynshmem",
  "pg_notify",
  "pg_serial",
  "pg_snapshots",
  "pg_subtrans",
]);

/** Files that are left out in whatever directory they lie. */
const EXCLUDED_FILES: ReadonlySet<string> = new Set([
  "postgresql.auto.conf.tmp",
  "current_logfiles.tmp",
  // of an earlier backup or of one that a running server must not have; this backup brings its own
  "backup_label",
  "backup_label.old",
  "tablespace_map",
  "tablespace_map.old",
  "backup_manifest",
  "postmaster.pid",
  "postmaster.opts",
  ".DS_Store",
]);

/**
 * Files at the top of PGDATA that pg_basebackup copies and pgark does not. They say that a recovery is under way (a standby
 * always has one). How the restored cluster recovers is decided when it is restored, and restore writes the file for that: a
 * left-over `standby.signal` beside it would win, and the cluster would never open.
 */
const RECOVERY_SIGNALS: ReadonlySet<string> = new Set(["recovery.signal", "standby.signal"]);

const RELATION_NAME = /^([1-9]\d{0,9})(?:_(fsm|vm|init))?(?:\.([1-9]\d{0,9}))?$/;
const TEMPORARY_RELATION = /^t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?$/;
const INIT_FORK = /^([1-9]\d{0,9})_init$/;
const TABLESPACE_RELATIONS = /^pg_tblspc\/\d+\/PG_\d+_\d+\/(\d+)$/;
const DATABASE_RELATIONS = /^base\/(\d+)$/;

/** Whether a directory is kept without what is in it. */
export function isExcludedContents(path: string): boolean {
  return EXCLUDED_CONTENTS.has(path);
}

/** Whether a file or directory is left out altogether because of its name. */
export function isExcludedName(directory: string, name: string): boolean {
  if (name.startsWith("pgsql_tmp") || name.startsWith("pg_internal.init")) return true;
  return EXCLUDED_FILES.has(name) || (directory === "" && RECOVERY_SIGNALS.has(name));
}

/** The database whose relations lie in `directory` (0 for `global`), or undefined when it holds none. */
export function databaseOfDirectory(directory: string): number | undefined {
  if (directory === "global") return 0;
  const match = DATABASE_RELATIONS.exec(directory) ?? TABLESPACE_RELATIONS.exec(directory);
  return match === null ? undefined : Number(match[1]);
}

/** Takes the name of a file in a directory of relations apart; undefined for `PG_VERSION`, `pg_filenode.map` and such. */
export function parseRelationName(database: number, name: string): RelationFile | undefined {
  const match = RELATION_NAME.exec(name);
  if (match === null) return undefined;
  return {
    database,
    relfilenode: Number(match[1]),
    fork: (match[2] ?? "main") as RelationFork,
    segment: Number(match[3] ?? 0),
  };
}

/** As `parseRelationName`, for a path relative to PGDATA. */
export function parseRelationPath(path: string): RelationFile | undefined {
  const slash = path.lastIndexOf("/");
  const database = databaseOfDirectory(path.slice(0, Math.max(slash, 0)));
  return database === undefined ? undefined : parseRelationName(database, path.slice(slash + 1));
}

/** Whether a name in a directory of relations belongs to a temporary one, which no other session could read. */
export function isTemporaryRelation(name: string): boolean {
  return TEMPORARY_RELATION.test(name);
}

/** The relation that `name` makes an unlogged one: its init fork is all of it that survives recovery. */
export function relationOfInitFork(name: string): number | undefined {
  const match = INIT_FORK.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** The one directory of a tablespace's location that belongs to this cluster (TABLESPACE_VERSION_DIRECTORY). */
export function tablespaceVersionDirectory(majorVersion: number, catalogVersion: number): string {
  return `PG_${majorVersion}_${catalogVersion}`;
}

/** What PostgreSQL expects to find in an emptied `pg_wal`. */
export function walSubdirectories(majorVersion: number): readonly string[] {
  return majorVersion >= 17 ? ["archive_status", "summaries"] : ["archive_status"];
}
