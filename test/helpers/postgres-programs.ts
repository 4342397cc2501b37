import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { projectDirectory } from "./project.ts";

const run = promisify(execFile);

/** The majors that the tests run, as npm's packages bring them. */
export const majors = [14, 15, 16, 17, 18] as const;
export type Major = (typeof majors)[number];

/** Where a server comes from: npm (all majors; no lz4, no zstd) or Debian 12 (15 only, with everything). */
export type ServerSource = "npm" | "debian";

export interface PostgresPrograms {
  readonly initdb: string;
  readonly pgCtl: string;
  readonly postgres: string;
}

export async function postgresPrograms(major: Major, source: ServerSource = "npm"): Promise<PostgresPrograms> {
  if (source === "npm") await hydrate(major);
  else if (major !== 15) throw new Error(`Debian's server is PostgreSQL 15, not ${major}`);
  const directory = source === "npm" ? join(packageOf(major), "native/bin") : "/usr/lib/postgresql/15/bin";
  return {
    initdb: join(directory, "initdb"),
    pgCtl: join(directory, "pg_ctl"),
    postgres: join(directory, "postgres"),
  };
}

function packageOf(major: Major): string {
  return join(projectDirectory, "node_modules", `pg${major}`);
}

/** The package's symlinks to its libraries are made by its install script, which npm may have been told not to run. */
async function hydrate(major: Major): Promise<void> {
  const library = join(packageOf(major), "native/lib/libpq.so.5");
  if (await exists(library)) return;
  await run(process.execPath, ["scripts/hydrate-symlinks.js"], { cwd: packageOf(major) });
  if (!(await exists(library))) {
    throw new Error(
      `${packageOf(major)} lacks its symlinks and they cannot be made: run npm ci without --ignore-scripts`,
    );
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
