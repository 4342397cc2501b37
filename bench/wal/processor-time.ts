import { readFileSync } from "node:fs";
import { childrenOf, signalIfAlive, until } from "../../test/helpers/processes.ts";

/** What Linux counts processor time in, in /proc, on every architecture: parts of a second. */
const ticks = 100;

interface Process {
  readonly command: string;
  /** neither gone nor a zombie */
  readonly lives: boolean;
  /** seconds of processor time, user and system */
  readonly own: number;
  /** of the children that ended and were waited for, and of theirs */
  readonly children: number;
}

/**
 * Seconds of processor time of the commands that a server process ran and waited for. In hundredths: take the difference over
 * many commands.
 */
export function commandsOf(pid: number): number {
  return read(pid).children;
}

/** Seconds of processor time of a process itself. */
export function ownTimeOf(pid: number): number {
  return read(pid).own;
}

/**
 * What commands leave to work in the background. This process inherits every orphan (scripts/bench.mjs makes it a "subreaper")
 * and never waits for one: so one that has ended stays a zombie, from which the kernel's final accounts can be read.
 */
export class Background {
  readonly #before = new Set(childrenOf(process.pid));

  /** Seconds of processor time so far of all that was left since this was made. */
  processorTime(): number {
    return this.#left().reduce((sum, pid) => sum + treeTime(pid), 0);
  }

  /** Waits until all of it has ended; what would wait for more work is told to end. */
  async end(how: "of-itself" | "when-told"): Promise<void> {
    const living = (): readonly number[] => this.#left().filter((pid) => read(pid).lives);
    // Not the shell above it, which waits for its end.
    if (how === "when-told") for (const pid of living().flatMap(childrenOf)) signalIfAlive(pid, "SIGTERM");
    await until(() => living().length === 0, "background processes to end", 60);
  }

  /** Servers are left by pg_ctl, but are not what is measured. */
  #left(): readonly number[] {
    return childrenOf(process.pid).filter((pid) => !this.#before.has(pid) && read(pid).command !== "postgres");
  }
}

function treeTime(pid: number): number {
  const { own, children } = read(pid);
  return own + children + childrenOf(pid).reduce((sum, child) => sum + treeTime(child), 0);
}

function read(pid: number): Process {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return { command: "", lives: false, own: 0, children: 0 };
  }
  const [open, close] = [stat.indexOf("("), stat.lastIndexOf(")")];
  const fields = stat.slice(close + 2).split(" ");
  const time = (index: number): number => Number(fields[index]) / ticks;
  // proc(5) counts from 1, and the first two fields are cut off: state is 3, utime 14, stime 15, cutime 16, cstime 17.
  return {
    command: stat.slice(open + 1, close),
    lives: fields[0] !== "Z" && fields[0] !== "X",
    own: time(11) + time(12),
    children: time(13) + time(14),
  };
}
