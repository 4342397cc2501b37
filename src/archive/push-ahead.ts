import { basename, join } from "node:path";
import { errnoOf, isPgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { SpoolSession } from "../spool/session.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { Wake } from "../spool/wake.ts";
import { archiveStatusFolder, compareReady, isReady, listReady } from "./archive-status.ts";
import { BacklogWatch } from "./backlog.ts";
import type { FileVersion } from "./push-spool.ts";
import { fileVersion, PushSpool, sameVersion } from "./push-spool.ts";

const beatMs = 1000;
/** So many files are acknowledged ahead of PostgreSQL at most, and so many names of a long backlog are held. */
const mostAhead = 1000;
/** Every file that PostgreSQL is done with is a change; its folder is not read more often for that. */
const scanMs = 20;

export interface PushAheadOptions extends SignalOption {
  readonly session: SpoolSession;
  readonly pgdata: string;
  /** Stores one WAL file durably, or throws. `path` is absolute. */
  readonly store: (path: string) => Promise<void>;
  /** how many files are under way at once */
  readonly inFlight: number;
  /** how long to wait for more work before the end */
  readonly lingerMs: number;
  /** whether there is something else to stay for */
  readonly busy?: () => boolean;
  /** from how many files that wait on a warning is logged */
  readonly backlogWarning: number;
  /** what a failure says in PostgreSQL's log */
  readonly describe: (error: unknown) => string;
  /** whether the program and its configuration are still what this process began with */
  readonly unchanged: () => Promise<boolean>;
  readonly now: () => Date;
  readonly log: Log;
}

/** Why it ended. */
export type PushAheadEnd = "idle" | "failed" | "superseded" | "stopped";

/**
 * Archives what PostgreSQL has ready before it is asked to, several files at once, and acknowledges each in the spool once it is
 * durable. The first failure is written down for PostgreSQL's log and ends it: what is under way is finished, nothing more is
 * begun, and an error of one file is never covered by the success of a later one.
 */
export async function pushAhead(options: PushAheadOptions): Promise<PushAheadEnd> {
  const pusher = new Pusher(options);
  try {
    return await pusher.run();
  } catch (error) {
    // Where the session is another's now, its folder is gone, and that is no failure.
    if (!(await options.session.beat(options.now()))) return "superseded";
    throw error;
  } finally {
    await pusher.close();
  }
}

class Pusher {
  readonly #options: PushAheadOptions;
  readonly #spool: PushSpool;
  readonly #wake: Wake;
  readonly #underWay = new Map<string, Promise<void>>();
  #queue: string[] = [];
  /** how many names at the head of the queue a front waits for */
  #askedFirst = 0;
  /** acknowledged, with what the file was; unknown where an earlier process did it */
  #done = new Map<string, FileVersion | undefined>();
  readonly #backlog: BacklogWatch;
  #failed = false;
  /** why nothing can be acknowledged any more */
  #broken: { readonly error: unknown } | undefined;
  #lastWork: Date;
  /** when a front last asked, or an acknowledgement was seen to have served */
  #lastAsked: Date;
  #lastBeat = 0;
  #lastScan = 0;

  constructor(options: PushAheadOptions) {
    this.#options = options;
    this.#spool = new PushSpool(options.session.folder, options.pgdata);
    this.#wake = new Wake([archiveStatusFolder(options.pgdata), this.#spool.asked]);
    this.#backlog = new BacklogWatch(options.backlogWarning);
    this.#lastWork = options.now();
    this.#lastAsked = this.#lastWork;
    options.signal?.addEventListener("abort", () => this.#wake.now(), { once: true });
  }

  async run(): Promise<PushAheadEnd> {
    this.#done = this.#spool.begin();
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken.error;
      if (this.#failed) return "failed";
      if (this.#options.signal?.aborted) return "stopped";
      if (!(await this.#beat())) return "superseded";
      const asked = this.#spool.questions();
      const wanted = this.#isWanted(asked);
      if (wanted) {
        await this.#refill(asked);
        this.#start();
      }
      if (this.#underWay.size > 0 || (wanted && this.#queue.length > 0) || this.#options.busy?.())
        this.#lastWork = this.#options.now();
      else if (!wanted || this.#idleMs(this.#lastWork) >= this.#options.lingerMs) return "idle";
      // Woken by a file that is done, by PostgreSQL and by the front.
      await this.#wake.wait(beatMs);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
    this.#wake.close();
  }

  #idleMs(since: Date): number {
    return this.#options.now().getTime() - since.getTime();
  }

  /** Whether PostgreSQL takes what is done. Where it has stopped asking, files that are ready are no reason to go on. */
  #isWanted(asked: readonly string[]): boolean {
    if (asked.length > 0) this.#lastAsked = this.#options.now();
    return this.#idleMs(this.#lastAsked) < this.#options.lingerMs;
  }

  async #beat(): Promise<boolean> {
    const now = this.#options.now();
    if (Math.abs(now.getTime() - this.#lastBeat) < beatMs) return true;
    this.#lastBeat = now.getTime();
    if (this.#spool.sweep(this.#done, now)) this.#lastAsked = now;
    if (!(await this.#options.session.beat(now))) return false;
    if (await this.#options.unchanged()) return true;
    // The front sees by itself that the configuration was written anew, but not that it is found elsewhere now.
    await this.#options.session.giveUp();
    return false;
  }

  /** What PostgreSQL waits for first, then what it will ask for next. */
  async #refill(questions: readonly string[]): Promise<void> {
    const asked = this.#open(questions);
    if (asked.length === 0 && (this.#queue.length > 0 || !this.#mayScan())) return;
    const first = new Set(asked);
    const known = this.#queue.length > 0 ? this.#queue : await this.#listReady();
    this.#queue = [...asked, ...known.filter((name) => !first.has(name))]
      .filter((name) => !this.#done.has(name) && !this.#underWay.has(name))
      .slice(0, mostAhead + asked.length);
    this.#askedFirst = asked.length;
  }

  async #listReady(): Promise<readonly string[]> {
    const ready = await listReady(this.#options.pgdata);
    const told = this.#backlog.see(ready.length);
    if (told !== undefined) this.#options.log[told.level](told.message);
    return ready;
  }

  /** The files that a front waits for and that are neither done nor under way. */
  #open(questions: readonly string[]): readonly string[] {
    const open: string[] = [];
    for (const name of questions) {
      if (this.#underWay.has(name)) continue;
      const acknowledged = this.#done.get(name);
      if (acknowledged !== undefined && this.#isStill(name, acknowledged)) this.#spool.answered(name);
      else {
        this.#done.delete(name);
        open.push(name);
      }
    }
    return open.sort(compareReady);
  }

  #mayScan(): boolean {
    const now = performance.now();
    const early = this.#lastScan + scanMs - now;
    if (early > 0) {
      setTimeout(() => this.#wake.now(), early);
      return false;
    }
    this.#lastScan = now;
    return true;
  }

  #start(): void {
    while (!this.#failed && this.#underWay.size < this.#options.inFlight) {
      if (this.#askedFirst <= 0 && this.#done.size >= mostAhead) return;
      const name = this.#queue.shift();
      if (name === undefined) return;
      this.#askedFirst--;
      const work = this.#push(name)
        .catch((error: unknown) => {
          this.#broken ??= { error };
        })
        .finally(() => {
          this.#underWay.delete(name);
          this.#lastWork = this.#options.now();
          this.#wake.now();
        });
      this.#underWay.set(name, work);
    }
  }

  async #push(name: string): Promise<void> {
    const { pgdata, store, log } = this.#options;
    const path = join(pgdata, "pg_wal", name);
    try {
      const version = fileVersion(path);
      await store(path);
      // PostgreSQL may have had it archived by another process meanwhile, and used the file for other WAL.
      if (!this.#isStill(name, version)) return;
      if (this.#spool.acknowledge(name, version)) this.#lastAsked = this.#options.now();
      this.#done.set(name, version);
      log.debug(`archived ${name}`);
    } catch (error) {
      this.#fail(path, error);
    }
  }

  /** Whether the file is what it was. */
  #isStill(name: string, version: FileVersion): boolean {
    try {
      return sameVersion(version, fileVersion(join(this.#options.pgdata, "pg_wal", name)));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  #fail(path: string, error: unknown): void {
    const { pgdata, describe, log, signal } = this.#options;
    const name = basename(path);
    const asked = this.#spool.questions().includes(name);
    // Not wanted any more: what was read may have been another file already, and nobody waits for the answer.
    if (!asked && !isReady(pgdata, name)) return;
    if (signal?.aborted && isPgarkError(error, "aborted")) return;
    this.#failed = true;
    log.warn(`could not archive ${name}: ${error instanceof Error ? error.message : String(error)}`);
    this.#spool.fail(name, describe(error));
  }
}
