import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, copyFile, mkdir, readdir, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment, projectDirectory } from "./project.ts";
import { temporaryDirectory } from "./temp.ts";

const run = promisify(execFile);

/** An outside program, ready to run. */
export interface Tool {
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Rejects with the program's stderr in the message when it fails. */
  run(args: readonly string[], options?: { readonly cwd?: string }): Promise<{ stdout: string; stderr: string }>;
}

/** A standard program on PATH: what the tests hold pgark's own output against. */
export async function findTool(name: "age" | "age-keygen" | "zstd" | "tar" | "pgbackrest"): Promise<Tool> {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory, name);
    if (await isExecutable(path)) return tool(path, plainEnvironment());
  }
  throw new Error(`"${name}" is not installed: npm test says which Debian package brings it`);
}

/** A client program of Debian's PostgreSQL 15. */
export function debianClientProgram(
  name: "psql" | "pgbench" | "pg_basebackup" | "pg_rewind" | "pg_verifybackup" | "pg_waldump",
): Tool {
  return tool(join("/usr/lib/postgresql/15/bin", name), plainEnvironment());
}

export type ClientProgram =
  | "pg_verifybackup"
  | "pg_waldump"
  | "pg_basebackup"
  | "pg_combinebackup"
  | "pg_controldata"
  | "pg_checksums"
  | "pg_amcheck"
  | "pgbench"
  | "psql";

let clientProgramsDirectory: Promise<string> | undefined;

/**
 * A client program of PostgreSQL 18, from npm. Older servers are fine for those that connect; pg_verifybackup reads the
 * backup of another major with --no-parse-wal only, and pg_combinebackup, pg_controldata and pg_checksums want their own.
 */
export async function clientProgram(name: ClientProgram): Promise<Tool> {
  clientProgramsDirectory ??= prepareClientPrograms();
  const directory = await clientProgramsDirectory;
  const env = plainEnvironment({ LD_LIBRARY_PATH: join(directory, "lib") });
  return tool(join(directory, "bin", name), env);
}

/** The package lacks libpq's usual name and may have lost its executable bits; neither is mended in node_modules itself. */
async function prepareClientPrograms(): Promise<string> {
  const source = join(projectDirectory, "node_modules/@serve-tools/postgres-linux-x64-gnu/pg");
  const { path } = await temporaryDirectory("pg-tools");
  await mkdir(join(path, "bin"));
  await mkdir(join(path, "lib"));
  await symlink(join(source, "share"), join(path, "share"));
  for (const library of await readdir(join(source, "lib"))) {
    await symlink(join(source, "lib", library), join(path, "lib", library));
  }
  await symlink(join(source, "lib/libpq.so.5.18"), join(path, "lib/libpq.so.5"));
  for (const program of await readdir(join(source, "bin"))) {
    if (program === "postgres") continue; // the largest by far, and there are servers enough
    const copy = join(path, "bin", program);
    await copyFile(join(source, "bin", program), copy, constants.COPYFILE_FICLONE);
    await chmod(copy, 0o755);
  }
  return path;
}

function tool(path: string, env: Tool["env"]): Tool {
  return {
    path,
    env,
    run: (args, options) => run(path, [...args], { env, maxBuffer: 64 << 20, encoding: "utf8", ...options }),
  };
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
