import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, open, readFile, readdir, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainEnvironment } from "../../helpers/project.ts";
import { childrenOf, signalIfAlive, until } from "../../helpers/processes.ts";

export interface DetachedOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface DetachedEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Whom a signal goes to: the whole process group, the process that was started alone, or its children alone. */
export type Victim = "group" | "front" | "children";

/** A program in a process group of its own. */
export class DetachedRun {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Pick<DetachedEnd, "exitCode" | "signal">>;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
    this.#ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (exitCode, signal) => resolve({ exitCode, signal }));
    });
  }

  static async start(program: string, args: readonly string[], options: DetachedOptions): Promise<DetachedRun> {
    const directory = await mkdtemp(join(tmpdir(), "pgark-detached-"));
    const stdout = await open(join(directory, "stdout"), "w");
    const stderr = await open(join(directory, "stderr"), "w");
    try {
      const inherited = Object.entries(plainEnvironment()).filter(([name]) => !name.startsWith("PGARK_"));
      const child = spawn(program, args, {
        cwd: options.cwd,
        env: { ...Object.fromEntries(inherited), ...options.env },
        stdio: ["ignore", stdout.fd, stderr.fd],
        detached: true,
      });
      return new DetachedRun(child, directory);
    } finally {
      await stdout.close();
      await stderr.close();
    }
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the program did not start");
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it has written to stderr so far. */
  stderr(): string {
    return readFileSync(join(this.#directory, "stderr"), "utf8");
  }

  send(signal: NodeJS.Signals, victim: Victim = "group"): void {
    if (victim === "group") signalIfAlive(-this.pid, signal);
    else if (victim === "front") signalIfAlive(this.pid, signal);
    else for (const pid of childrenOf(this.pid)) signalIfAlive(pid, signal);
  }

  /** Resolves when it has ended and nothing of its process group is left. */
  async end(): Promise<DetachedEnd> {
    const ended = await this.#ended;
    await until(async () => (await this.#members()).length === 0, "the process group to end", 60);
    const stdout = await readFile(join(this.#directory, "stdout"), "utf8");
    const stderr = this.stderr();
    await rm(this.#directory, { recursive: true, force: true });
    return { ...ended, stdout, stderr };
  }

  async #members(): Promise<readonly string[]> {
    const processes = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    return processes.filter((name) => processGroupOf(name) === this.pid);
  }
}

function processGroupOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
  } catch {
    return undefined; // gone by now
  }
}
