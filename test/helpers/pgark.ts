import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { plainEnvironment, projectDirectory } from "./project.ts";

/** How a run of pgark ended. `signal` is set when it did not exit by itself. */
export interface PgarkResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** On top of an environment without any PGARK_*, PG* or npm_* variable; PGARK_NODE is this process's node. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** A run of more than two minutes is killed, unless this is true. */
  readonly timeoutless?: boolean;
  /** Kills the run: SIGTERM. */
  readonly signal?: AbortSignal;
}

/** Runs the project's own bin/pgark (over dist/: `npm run build` first). Never rejects for what pgark does. */
export function runPgark(args: readonly string[], options: RunOptions = {}): Promise<PgarkResult> {
  return runProgram(join(projectDirectory, "bin/pgark"), args, options);
}

/** A pgark as a user would have it after installing the package: its files and what it needs at run time, nothing else. */
export interface InstalledPgark {
  readonly directory: string;
  /** The program's path, for archive_command and restore_command. */
  readonly program: string;
  run(args: readonly string[], options?: RunOptions): Promise<PgarkResult>;
}

export async function installPgark(directory: string): Promise<InstalledPgark> {
  if (!existsSync(join(projectDirectory, "dist/pgark.cjs"))) throw new Error("dist/ is not built: npm run build");
  await mkdir(directory, { recursive: true });
  for (const part of ["bin", "dist", "package.json"]) {
    await cp(join(projectDirectory, part), join(directory, part), { recursive: true });
  }
  // What the bundles leave outside (scripts/build.mjs).
  for (const name of await withDependencies([
    "zstd-napi",
    "@node-rs/crc32",
    "@napi-rs/blake-hash",
    "@noble/hashes",
    "piscina",
  ])) {
    const target = join(directory, "node_modules", name);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(projectDirectory, "node_modules", name), target, { recursive: true, verbatimSymlinks: true });
  }
  const program = join(directory, "bin/pgark");
  return { directory, program, run: (args, options = {}) => runProgram(program, args, options) };
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** `names` and all that they depend on, as far as it is installed: an optional package may not be. */
async function withDependencies(names: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const left = [...names];
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    const manifest = join(projectDirectory, "node_modules", name, "package.json");
    if (found.has(name) || !existsSync(manifest)) continue;
    found.add(name);
    const { dependencies, optionalDependencies } = JSON.parse(await readFile(manifest, "utf8")) as Manifest;
    left.push(...Object.keys({ ...dependencies, ...optionalDependencies }));
  }
  return found;
}

/** Output goes through files: complete at exit, even if a background process that pgark starts still holds them open. */
async function runProgram(program: string, args: readonly string[], options: RunOptions): Promise<PgarkResult> {
  const inherited = Object.entries(plainEnvironment()).filter(([name]) => !name.startsWith("PGARK_"));
  const directory = await mkdtemp(join(tmpdir(), "pgark-output-"));
  const stdout = await open(join(directory, "stdout"), "w");
  const stderr = await open(join(directory, "stderr"), "w");
  try {
    const ended = await new Promise<Pick<PgarkResult, "exitCode" | "signal">>((resolve, reject) => {
      const child = spawn(program, args, {
        cwd: options.cwd,
        env: { ...Object.fromEntries(inherited), PGARK_NODE: process.execPath, ...options.env },
        stdio: ["pipe", stdout.fd, stderr.fd],
        ...(options.timeoutless === true ? {} : { timeout: 120_000, killSignal: "SIGKILL" }),
      });
      // A program that exits without reading its stdin is in its right.
      child.stdin?.on("error", () => {});
      child.stdin?.end(options.stdin ?? "");
      const terminate = (): boolean => child.kill("SIGTERM");
      options.signal?.addEventListener("abort", terminate, { once: true });
      child.once("error", reject);
      child.once("exit", (exitCode, signal) => {
        options.signal?.removeEventListener("abort", terminate);
        resolve({ exitCode, signal });
      });
    });
    const output = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
    return { ...ended, stdout: await output("stdout"), stderr: await output("stderr") };
  } finally {
    await Promise.all([stdout.close(), stderr.close()]);
    await rm(directory, { recursive: true, force: true });
  }
}
