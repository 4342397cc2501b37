import { readFileSync, readdirSync } from "node:fs";
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
