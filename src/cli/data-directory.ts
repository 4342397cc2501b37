import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Io } from "./io.ts";
import type { Settings } from "./settings.ts";

/** The data directory that a command was told of: --pgdata, its other spellings, or PostgreSQL's own PGDATA. */
export function configuredDataDirectory(settings: Settings, io: Io): string | undefined {
  const pgdata = io.env["PGDATA"];
  return settings.values.pgdata ?? (pgdata === undefined || pgdata === "" ? undefined : resolve(io.cwd, pgdata));
}

/**
 * The data directory that wal-push and wal-fetch work for, with this path. PostgreSQL runs them in it, and a clone that is being
 * restored is not the one that the host's configuration names: so only a flag goes before the directory that the path lies in,
 * which pg_rewind names in full from wherever it runs, and before a working directory that is a data directory.
 */
export function walDataDirectory(settings: Settings, io: Io, path: string): string {
  const { pgdata } = settings.values;
  if (pgdata !== undefined && settings.origins.get("pgdata") === "flag") return pgdata;
  const wal = dirname(resolve(io.cwd, path));
  const candidates = [...(basename(wal) === "pg_wal" ? [dirname(wal)] : []), io.cwd];
  const there = candidates.find((directory) => existsSync(join(directory, "global", "pg_control")));
  return there ?? configuredDataDirectory(settings, io) ?? io.cwd;
}
