import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

/** What one run of a command cost. */
export interface Cost {
  /** seconds of processor time, user and system, of the command and of all processes that it started and waited for */
  readonly cpu: number;
  /** seconds */
  readonly wall: number;
  /** the most memory (resident) that any one of its processes had, in bytes */
  readonly largest: number;
  /** the most that all of its processes had together, as sampled; pages that they share count for each */
  readonly together: number;
}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** where its output goes; shown when it fails */
  readonly logDirectory: string;
}

const sampleMs = 25;

/**
 * Runs a command and measures it. Processor time comes from bash's `time`, that is from the kernel's accounting of the
 * processes that ended; memory from looking at /proc while they run.
 */
export async function measure(command: Command): Promise<Cost> {
  // What earlier runs left to be written is not this one's to pay for.
  await promisify(execFile)("sync");
  const log = join(command.logDirectory, "last-command.log");
  const script = 'log=$1; shift; TIMEFORMAT="%U %S %R"; time "$@" >"$log" 2>&1';
  const child = spawn("bash", ["-c", script, "bash", log, command.program, ...command.args], {
    env: { ...command.env, LC_ALL: "C" },
    stdio: ["ignore", "inherit", "pipe"],
  });
  let times = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    times += text;
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const memory = new MemoryWatch(child.pid ?? 0);
  const code = await memory.watchUntil(ended);
  if (code !== 0) {
    const output = await readFile(log, "utf8").catch(() => "");
    throw new Error(`${command.program} ${command.args.join(" ")} failed (${code}):\n${output}${times}`);
  }
  const [user = Number.NaN, system = Number.NaN, wall = Number.NaN] = times.trim().split(" ").map(Number);
  return { cpu: user + system, wall, largest: memory.largest, together: memory.together };
}

class MemoryWatch {
  largest = 0;
  together = 0;
  readonly #root: number;

  constructor(root: number) {
    this.#root = root;
  }

  async watchUntil<T>(ended: Promise<T>): Promise<T> {
    const stop = new AbortController();
    const watching = this.#watch(stop.signal);
    try {
      return await ended;
    } finally {
      stop.abort();
      await watching;
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let sum = 0;
      for (const pid of descendants(this.#root)) {
        const status = readProc(`${pid}/status`);
        this.largest = Math.max(this.largest, kilobytes(status, "VmHWM"));
        sum += kilobytes(status, "VmRSS");
      }
      this.together = Math.max(this.together, sum);
      await delay(sampleMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function descendants(pid: number): readonly number[] {
  const children = readProc(`${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Empty when the process is gone. */
function readProc(file: string): string {
  try {
    return readFileSync(join("/proc", file), "latin1");
  } catch {
    return "";
  }
}

function kilobytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
}
