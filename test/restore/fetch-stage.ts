import { existsSync, rmSync } from "node:fs";
import { readdir, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { Log } from "../../src/log.ts";
import type { FetchAheadOptions } from "../../src/restore/fetch-ahead.ts";
import { fetchAhead } from "../../src/restore/fetch-ahead.ts";
import type { SessionOptions, SpoolSession } from "../../src/spool/session.ts";
import { until } from "../helpers/processes.ts";
import type { DataDirectory } from "../spool/spool-fixture.ts";
import { Clock, dataDirectory, enter, sessionOptions } from "../spool/spool-fixture.ts";

export const SEGMENT_SIZE = 16 * 1024 * 1024;

export function segment(number: number, timeline = 1): string {
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, "0");
  return `${hex(timeline)}00000000${hex(number)}`;
}

/** What a verified file of this name holds; half of it is written when a load begins. */
export const contentOf = (name: string): string => `verified ${name}`;

/** A load under way, which ends as the test says. */
export interface Load {
  readonly name: string;
  readonly asked: boolean;
  readonly succeed: () => Promise<void>;
  readonly absent: () => void;
  readonly fail: (error?: unknown) => void;
}

/** A `fetchAhead` under way. */
export interface Fetching {
  readonly end: Promise<"idle" | "superseded" | "stopped">;
  /** all that it began to load, in order; with a question mark what was asked for */
  readonly begun: string[];
  readonly pending: Load[];
  /** the most loads of one file, and of all, that were under way at once */
  readonly most: { ofOne: number; ofAll: number };
  readonly warnings: string[];
  readonly abort: () => void;
  /** Resolves with the load of this file that is under way, when there is one. */
  readonly loading: (name: string) => Promise<Load>;
  /** Has loads of these files succeed, as they come. */
  readonly deliver: (...names: readonly string[]) => Promise<void>;
}

/** A data directory in recovery, whose restore_command the test plays, and an archive that it controls. */
export class FetchStage implements AsyncDisposable {
  readonly clock = new Clock();
  readonly options: SessionOptions;
  session: SpoolSession;
  readonly #directory: DataDirectory;
  readonly #fetching: Fetching[] = [];

  private constructor(directory: DataDirectory, options: SessionOptions, session: SpoolSession) {
    this.#directory = directory;
    this.options = options;
    this.session = session;
  }

  static async open(): Promise<FetchStage> {
    const directory = await dataDirectory();
    const options = sessionOptions(directory, "fetch");
    return new FetchStage(directory, options, await enter(options, new Date()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endAll();
    await this.#directory[Symbol.asyncDispose]();
  }

  /** Stops whoever fetches, and has all loads fail. */
  async endAll(): Promise<void> {
    for (const { abort } of this.#fetching) abort();
    const state = { over: false };
    void Promise.allSettled(this.#fetching.map(({ end }) => end)).then(() => (state.over = true));
    // Who waits for a load begins another one when that fails.
    while (!state.over) {
      for (const load of this.#fetching.flatMap(({ pending }) => pending)) load.fail();
      await this.breathe();
    }
  }

  spool(...path: readonly string[]): string {
    return join(this.session.folder, ...path);
  }

  async list(folder: "asked" | "wal" | "absent" | "declined"): Promise<readonly string[]> {
    return (await readdir(this.spool(folder))).sort();
  }

  /** A front with this number waits for a file. */
  async ask(name: string, number = 1): Promise<void> {
    await writeFile(this.spool("asked", `${name}.${number}`), "");
  }

  /** The answer to that front: what it would find. */
  answer(name: string, number = 1): "absent" | "declined" | "there" | undefined {
    for (const folder of ["absent", "declined"] as const) {
      if (existsSync(this.spool(folder, `${name}.${number}`))) return folder;
    }
    return existsSync(this.spool("wal", name)) ? "there" : undefined;
  }

  /** Asks, and resolves with the answer. */
  async asked(name: string, number = 1): Promise<"absent" | "declined" | "there" | undefined> {
    await this.ask(name, number);
    return this.untilAnswered(name, number);
  }

  async untilAnswered(name: string, number = 1): Promise<"absent" | "declined" | "there" | undefined> {
    await until(() => this.answer(name, number) !== undefined, `an answer for ${name}`);
    return this.answer(name, number);
  }

  async untilOffered(...names: readonly string[]): Promise<void> {
    const sorted = names.toSorted();
    await until(async () => (await this.list("wal")).join() === sorted.join(), `${sorted.join(", ")} to be offered`);
  }

  /** The front moves a file into place; resolves with what it holds. */
  async take(name: string): Promise<string> {
    const target = join(this.#directory.pgdata, "pg_wal/RECOVERYXLOG");
    await rename(this.spool("wal", name), target);
    return readFile(target, "utf8");
  }

  /** Takes files in one go: nobody looks between. */
  takeAtOnce(...names: readonly string[]): void {
    for (const name of names) rmSync(this.spool("wal", name));
  }

  /** Lets time pass, and has whoever waits for changes look again. */
  async pass(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds);
    await this.poke();
  }

  /** A change that is neither a question nor an answer. */
  async poke(): Promise<void> {
    await utimes(this.spool("asked"), new Date(), new Date()).catch(() => undefined);
  }

  start(changes: Partial<FetchAheadOptions> = {}): Fetching {
    const controller = new AbortController();
    const begun: string[] = [];
    const pending: Load[] = [];
    const warnings: string[] = [];
    const most = { ofOne: 0, ofAll: 0 };
    const log: Log = { debug() {}, info() {}, warn: (message) => warnings.push(message) };
    const end = fetchAhead({
      session: this.session,
      segmentSize: SEGMENT_SIZE,
      most: 4 * SEGMENT_SIZE,
      inFlight: 2,
      lingerMs: 60_000,
      after: segment(1),
      hasStandIn: async () => false,
      unchanged: async () => true,
      now: this.clock.now,
      log,
      signal: controller.signal,
      load: async ({ name }, path, asked) => {
        begun.push(asked ? `${name}?` : name);
        await writeFile(path, contentOf(name).slice(0, 8));
        return new Promise<"loaded" | "absent">((resolve, reject) => {
          const finish = (): void => void pending.splice(pending.indexOf(load), 1);
          const load: Load = {
            name,
            asked,
            succeed: async () => {
              finish();
              try {
                await writeFile(path, contentOf(name));
                resolve("loaded");
              } catch (error) {
                reject(error);
              }
            },
            absent: () => {
              finish();
              resolve("absent");
            },
            fail: (error = new Error("no")) => {
              finish();
              reject(error);
            },
          };
          pending.push(load);
          most.ofAll = Math.max(most.ofAll, pending.length);
          most.ofOne = Math.max(most.ofOne, pending.filter((other) => other.name === name).length);
        });
      },
      ...changes,
    });
    end.catch(() => undefined);
    const loading = async (name: string): Promise<Load> => {
      const find = (): Load | undefined => pending.find((one) => one.name === name);
      await until(() => find() !== undefined, `the load of ${name}`);
      return find() as Load;
    };
    const deliver = async (...names: readonly string[]): Promise<void> => {
      for (const name of names) await (await loading(name)).succeed();
    };
    const abort = (): void => controller.abort();
    const fetching: Fetching = { end, begun, pending, most, warnings, abort, loading, deliver };
    this.#fetching.push(fetching);
    return fetching;
  }

  /** Lets time pass until this one ends. */
  async untilOver({ end }: Fetching): Promise<"idle" | "superseded" | "stopped"> {
    let over = false;
    const note = (): void => void (over = true);
    end.then(note, note);
    await until(async () => {
      await this.pass(60_000);
      return over;
    }, "the end");
    return end;
  }

  /** Has every load find nothing, also those that begin late, until this one ends; no time passes. */
  async untilOverWithNothing({ end, pending }: Fetching): Promise<"idle" | "superseded" | "stopped"> {
    let over = false;
    const note = (): void => void (over = true);
    end.then(note, note);
    await until(() => {
      for (const load of pending.slice()) load.absent();
      return over;
    }, "the end");
    return end;
  }

  /** Gives whoever is at work some turns. */
  async breathe(): Promise<void> {
    for (let round = 0; round < 8; round++) {
      await stat(this.options.pgdata);
      await turn();
    }
  }
}
