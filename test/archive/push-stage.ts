import { readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { PushAheadEnd, PushAheadOptions } from "../../src/archive/push-ahead.ts";
import { pushAhead } from "../../src/archive/push-ahead.ts";
import { PgarkError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import type { SessionOptions, SpoolSession } from "../../src/spool/session.ts";
import { until } from "../helpers/processes.ts";
import type { DataDirectory } from "../spool/spool-fixture.ts";
import { Clock, dataDirectory, enter, sessionOptions } from "../spool/spool-fixture.ts";

export function segment(number: number): string {
  return `0000000100000000${number.toString(16).toUpperCase().padStart(8, "0")}`;
}

/** A store under way, which ends as the test says. */
export interface Store {
  readonly name: string;
  /** what the file held when the store began */
  readonly content: string;
  readonly succeed: () => void;
  readonly fail: (error?: unknown) => void;
}

/** A `pushAhead` under way. */
export interface Pushing {
  readonly end: Promise<PushAheadEnd>;
  /** all that it began to store, in order */
  readonly begun: string[];
  /** what it has not been told the end of */
  readonly pending: Store[];
  /** the most that were under way at once */
  readonly most: () => number;
  readonly abort: () => void;
  /** Resolves with the oldest store of this file that is under way, when there is one. */
  readonly storing: (name: string) => Promise<Store>;
}

/** A data directory whose archiver the test plays, and a store that it controls. */
export class PushStage implements AsyncDisposable {
  readonly clock = new Clock();
  readonly options: SessionOptions;
  session: SpoolSession;
  readonly #directory: DataDirectory;
  readonly #pushing: Pushing[] = [];
  /** files get times that are a second apart, from long ago */
  #time = Date.UTC(2026, 10, 1);

  private constructor(directory: DataDirectory, options: SessionOptions, session: SpoolSession) {
    this.#directory = directory;
    this.options = options;
    this.session = session;
  }

  static async open(): Promise<PushStage> {
    const directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    return new PushStage(directory, options, await enter(options, new Date()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { abort } of this.#pushing) abort();
    const state = { over: false };
    void Promise.allSettled(this.#pushing.map(({ end }) => end)).then(() => (state.over = true));
    // Who was about to store does so all the same.
    while (!state.over) {
      for (const store of this.#pushing.flatMap(({ pending }) => pending)) store.fail(stopped());
      await this.breathe();
    }
    await this.#directory[Symbol.asyncDispose]();
  }

  wal(name: string): string {
    return join(this.#directory.pgdata, "pg_wal", name);
  }

  status(name: string, state: "ready" | "done"): string {
    return join(this.#directory.pgdata, "pg_wal/archive_status", `${name}.${state}`);
  }

  spool(...path: readonly string[]): string {
    return join(this.session.folder, ...path);
  }

  async write(name: string, content = "wal"): Promise<void> {
    await writeFile(this.wal(name), content);
    const time = new Date((this.#time += 1000));
    await utimes(this.wal(name), time, time);
  }

  /** PostgreSQL wants these files archived, which are there. */
  async ready(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.write(name, `wal ${name}`);
      await this.wanted(name);
    }
  }

  async wanted(name: string): Promise<void> {
    await writeFile(this.status(name, "ready"), "");
  }

  /** PostgreSQL takes the file for archived. */
  async archived(name: string): Promise<void> {
    await rename(this.status(name, "ready"), this.status(name, "done"));
  }

  /** PostgreSQL has no more use for the file. */
  async remove(name: string): Promise<void> {
    await rm(this.wal(name));
  }

  async ask(name: string): Promise<void> {
    await writeFile(this.spool("asked", name), "");
  }

  async list(folder: "asked" | "done" | "failed"): Promise<readonly string[]> {
    return (await readdir(this.spool(folder))).sort();
  }

  /** What the front would take for archived: see stored() in bin/pgark. */
  async acknowledged(session = this.session): Promise<readonly string[]> {
    const believed: string[] = [];
    for (const name of await readdir(join(session.folder, "done"))) {
      const [done, file] = await Promise.all([
        stat(join(session.folder, "done", name)).catch(() => undefined),
        stat(this.wal(name)).catch(() => undefined),
      ]);
      if (done !== undefined && file !== undefined && file.mtimeMs <= done.mtimeMs) believed.push(name);
    }
    return believed.sort();
  }

  async untilAcknowledged(...names: readonly string[]): Promise<void> {
    await until(
      async () => {
        const believed = await this.acknowledged();
        return names.every((name) => believed.includes(name));
      },
      `${names.join(", ")} to be acknowledged`,
    );
  }

  async untilAnswered(): Promise<void> {
    await until(async () => (await this.list("asked")).length === 0, "the questions to be answered");
  }

  async untilFailed(name: string): Promise<void> {
    await until(async () => (await this.list("failed")).includes(name), `the failure of ${name} to be told`);
  }

  /** Lets time pass, and has whoever waits for changes look again. */
  async pass(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds);
    await writeFile(this.status("poke", "done"), "");
  }

  /** Lets time pass until this one ends. */
  async untilOver({ end }: Pushing): Promise<PushAheadEnd> {
    let over = false;
    const note = (): void => void (over = true);
    end.then(note, note);
    await until(async () => {
      await this.pass(60_000);
      return over;
    }, "the end");
    return end;
  }

  start(changes: Partial<PushAheadOptions> = {}): Pushing {
    const controller = new AbortController();
    const begun: string[] = [];
    const pending: Store[] = [];
    let most = 0;
    const store = async (path: string): Promise<void> => {
      const name = basename(path);
      begun.push(name);
      const content = await readFile(path, "utf8").catch(() => "");
      await new Promise<void>((resolve, reject) => {
        const end = (settle: () => void): void => {
          const index = pending.indexOf(one);
          if (index >= 0) pending.splice(index, 1);
          settle();
        };
        const one: Store = {
          name,
          content,
          succeed: () => end(resolve),
          fail: (error = new Error("no")) => end(() => reject(error)),
        };
        pending.push(one);
        most = Math.max(most, pending.length);
      });
    };
    const end = pushAhead({
      session: this.session,
      pgdata: this.options.pgdata,
      store,
      inFlight: 1,
      lingerMs: 60_000,
      backlogWarning: 0,
      describe: (error) => `told: ${error instanceof Error ? error.message : String(error)}\n`,
      unchanged: async () => true,
      now: this.clock.now,
      log: silentLog,
      signal: controller.signal,
      ...changes,
    });
    end.catch(() => undefined);
    const pushing: Pushing = {
      end,
      begun,
      pending,
      most: () => most,
      abort: () => controller.abort(),
      storing: async (name) => {
        const find = (): Store | undefined => pending.find((one) => one.name === name);
        await until(() => find() !== undefined, `the store of ${name}`);
        return find() as Store;
      },
    };
    this.#pushing.push(pushing);
    return pushing;
  }

  /** Gives whoever is at work some turns. */
  async breathe(): Promise<void> {
    for (let round = 0; round < 8; round++) {
      await stat(this.options.pgdata);
      await turn();
    }
  }
}

export function stopped(): PgarkError {
  return new PgarkError("aborted", "stopped", { operation: "push" });
}
