import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../../src/errors.ts";
import { DetachedRun, type DetachedEnd, type DetachedOptions } from "./detached-run.ts";

/**
 * Loaded before pgark: counts the calls of the main thread that change a file system, and dies by SIGKILL at the one that
 * PGARK_CRASH_AT names: in place of it, or, when it writes, in the middle. At a normal end it leaves the count.
 */
const preload = String.raw`
const { isMainThread } = require("node:worker_threads");
if (isMainThread && require("node:path").basename(process.argv[1] || "") === "pgark.cjs") {
  const fs = require("node:fs");
  const at = Number(process.env.PGARK_CRASH_AT);
  const original = { ...fs };
  let count = 0;
  const step = (half) => {
    if (++count !== at) return;
    if (half !== undefined) half();
    process.kill(process.pid, "SIGKILL");
    for (;;);
  };
  const wrap = (owner, name, half) => {
    const inner = owner[name];
    owner[name] = function (...args) {
      const saysSomething = name === "writeSync" && args[0] <= 2;
      if (!saysSomething) step(half === undefined ? undefined : () => half(this, ...args));
      return inner.apply(this, args);
    };
  };
  const halfOf = (data) => { const bytes = Buffer.from(data); return bytes.subarray(0, bytes.length >> 1); };
  for (const name of ["open", "link", "rename", "unlink", "mkdir", "rmdir"]) wrap(fs.promises, name);
  wrap(fs.promises, "writeFile", (_self, path, data) => original.writeFileSync(path, halfOf(data)));
  for (const name of ["openSync", "fsyncSync", "mkdirSync", "rmSync", "renameSync", "linkSync", "unlinkSync", "symlinkSync", "chmodSync"]) wrap(fs, name);
  wrap(fs, "writeSync", (_self, fd, data) => original.writeSync(fd, halfOf(data)));
  wrap(fs, "writeFileSync", (_self, file, data) => original.writeFileSync(file, halfOf(data)));
  const handle = original.openSync(__filename);
  original.closeSync(handle);
  fs.promises.open(__filename).then((file) => {
    const prototype = Object.getPrototypeOf(file);
    wrap(prototype, "write", (self, data, offset, length, position) => original.writeSync(self.fd, data, offset ?? 0, (length ?? data.length) >> 1, position));
    wrap(prototype, "writeFile", (self, data) => original.writeSync(self.fd, halfOf(data)));
    wrap(prototype, "sync");
    void file.close();
  });
  count = 0;
  process.on("exit", () => original.writeFileSync(process.env.PGARK_CRASH_COUNT, String(count)));
}
`;

export interface CrashRun extends DetachedEnd {
  /** how many points a run has that came to its end; undefined when it died at one */
  readonly points: number | undefined;
}

/** Runs a program that dies at its `at`-th change of a file system, counted from 1. */
export async function crashAt(
  directory: string,
  at: number,
  program: string,
  args: readonly string[],
  options: DetachedOptions,
): Promise<CrashRun> {
  const script = join(directory, "crash-point.cjs");
  const counted = join(directory, "crash-point.count");
  await writeFile(script, preload);
  await rm(counted, { force: true });
  const env = {
    ...options.env,
    NODE_OPTIONS: `--require=${script}`,
    PGARK_CRASH_AT: String(at),
    PGARK_CRASH_COUNT: counted,
  };
  const run = await DetachedRun.start(program, args, { ...options, env });
  const ended = await run.end();
  return { ...ended, points: await readCount(counted) };
}

async function readCount(file: string): Promise<number | undefined> {
  try {
    return Number(await readFile(file, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
