import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf } from "../../src/errors.ts";

/** Whether there is such a process. A zombie is one too: PostgreSQL takes its process id for a running server's. */
export function isAlive(pid: number): boolean {
  return parentOf(pid) !== undefined;
}

/** The processes whose parent is `pid`. */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

/** SIGKILL to `pid` first, so that it cannot start more, then to its children. */
export function killTree(pid: number): readonly number[] {
  const pids = [pid, ...childrenOf(pid)];
  for (const victim of pids) signalIfAlive(victim, "SIGKILL");
  return pids;
}

export function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/** Resolves when none of `pids` is alive any more; rejects after ten seconds. */
export async function untilGone(pids: readonly number[]): Promise<void> {
  await until(() => !pids.some(isAlive), `processes ${pids.join(", ")} to end`, 10);
}

/** The processes whose working directory is `directory`, as that of all that PostgreSQL starts is its data directory. */
export function workersIn(directory: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, "") === directory;
      } catch {
        return false;
      }
    });
}

/** SIGKILL to whatever a server that is gone has left at work, such as processes that archive in the background. */
export function killWorkersIn(directory: string): void {
  for (const pid of workersIn(directory)) signalIfAlive(pid, "SIGKILL");
}

export async function untilNoneWorksIn(directory: string): Promise<void> {
  await until(
    () => {
      killWorkersIn(directory);
      return workersIn(directory).length === 0;
    },
    `processes in ${directory} to end`,
    10,
  );
}

/** Polls until `condition` holds; rejects after `seconds`. For what a program gives no other sign of. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  seconds = 30,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await delay(10, undefined, { signal });
  }
}

function parentOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // Process id, command, state, parent. The command stands in parentheses and may hold anything, parentheses too.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
