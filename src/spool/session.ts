import { mkdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoOf } from "../errors.ts";
import type { Postmaster } from "../postgres/postmaster-file.ts";
import { readPostmaster, samePostmaster } from "../postgres/postmaster-file.ts";
import { makePrivateFolder, sessionFolder, sweepSessions } from "./spool-folder.ts";
import type { SpoolRole } from "./spool-folder.ts";

/** A living process touches its pid file every second; one that has not for so long is gone, or as good as. */
const staleMs = 10_000;

export interface SessionOptions {
  readonly role: SpoolRole;
  /** absolute, without symbolic links */
  readonly pgdata: string;
  readonly postmaster: Postmaster;
  /** where the spool of this data directory lies */
  readonly spool: string;
  /** the command line and what else answers depend on, as the front wrote it down; one line */
  readonly words: string;
  /** the configuration file that was read */
  readonly configFile: string | undefined;
  /** when the reading of the configuration began */
  readonly configuredAt: Date;
}

/** The folders in which the front leaves questions and the background process leaves answers, by role. */
const folders = {
  push: ["asked", "done", "failed"],
  fetch: ["asked", "wal", "absent", "declined"],
} as const;

/**
 * The part of the spool that one background process and the front share: for one life of a postmaster, one role, one
 * command line. docs/spool.md has the rules and why they suffice.
 */
export class SpoolSession {
  /** holds `words`, `pid` and the folders of questions and answers */
  readonly folder: string;
  readonly #options: SessionOptions;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.folder = join(sessionFolder(options.spool, options.postmaster), options.role);
  }

  /** Enters the session, making it when it is not there; what was left there under other words is removed first. */
  static async enter(options: SessionOptions): Promise<SpoolSession> {
    const session = new SpoolSession(options);
    await makePrivateFolder(dirname(session.folder));
    await makePrivateFolder(session.folder);
    await sweepSessions(options.spool, dirname(session.folder));
    if (!(await session.#wordsHold())) {
      await rm(session.#path("words"), { force: true });
      for (const name of folders[options.role]) await rm(session.#path(name), { recursive: true, force: true });
    }
    for (const name of folders[options.role]) await mkdir(session.#path(name), { recursive: true, mode: 0o700 });
    if (!(await session.#wordsHold())) await session.#writeWords();
    return session;
  }

  /** Makes this process the one that answers. False when another one lives. */
  async takeOver(now: Date): Promise<boolean> {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        await writeFile(this.#path("pid"), `${process.pid}\n`, { flag: "wx", mode: 0o600 });
        return true;
      } catch (error) {
        if (errnoOf(error) !== "EEXIST") throw error;
      }
      if (await isAlive(this.#path("pid"), now)) return false;
      await rm(this.#path("pid"), { force: true });
    }
    return false;
  }

  /**
   * Shows that this process lives. False when it must end: another one has taken over, the session was given up, or the
   * postmaster is not the same any more.
   */
  async beat(now: Date): Promise<boolean> {
    try {
      const [pid, words] = await Promise.all([
        readFile(this.#path("pid"), "latin1"),
        readFile(this.#path("words"), "utf8"),
      ]);
      if (pid !== `${process.pid}\n` || words !== this.#wordsText()) return false;
      await utimes(this.#path("pid"), now, now);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    }
    return samePostmaster(readPostmaster(this.#options.pgdata), this.#options.postmaster);
  }

  /** Gives the front a number to wait for no more, when it is still ours. */
  async leave(): Promise<void> {
    const pid = await readFile(this.#path("pid"), "latin1").catch(() => "");
    if (pid === `${process.pid}\n`) await unlink(this.#path("pid")).catch(() => undefined);
  }

  /** A file or folder of this session. */
  #path(name: string): string {
    return join(this.folder, name);
  }

  #wordsText(): string {
    return `${this.#options.words}\n${this.#options.configFile ?? ""}\n`;
  }

  /** Whether what lies here was done for the same words, under the configuration as it is now. */
  async #wordsHold(): Promise<boolean> {
    try {
      const path = this.#path("words");
      if ((await readFile(path, "utf8")) !== this.#wordsText()) return false;
      const { configFile } = this.#options;
      return configFile === undefined || (await stat(configFile)).mtimeMs <= (await stat(path)).mtimeMs;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  async #writeWords(): Promise<void> {
    const { configuredAt } = this.#options;
    const temporary = this.#path(`words.${process.pid}`);
    await writeFile(temporary, this.#wordsText(), { mode: 0o600 });
    // A configuration that was changed while it was read is newer than this.
    await utimes(temporary, configuredAt, configuredAt);
    await rename(temporary, this.#path("words"));
  }
}

/** Whether somebody answers in a session: looked at without entering it. */
export async function isAnswered(options: SessionOptions, now: Date): Promise<boolean> {
  return isAlive(join(sessionFolder(options.spool, options.postmaster), options.role, "pid"), now);
}

/** Whether the process that a pid file names lives and has shown so lately. */
async function isAlive(path: string, now: Date): Promise<boolean> {
  try {
    const pid = Number(await readFile(path, "latin1"));
    if (!Number.isInteger(pid) || pid <= 0) return false;
    process.kill(pid, 0);
    return now.getTime() - (await stat(path)).mtimeMs < staleMs;
  } catch {
    return false;
  }
}

/** Gives up a session that works for other words: its process ends at its next beat, and nothing it did counts. */
export async function giveUpOtherWords(options: SessionOptions): Promise<void> {
  const words = join(sessionFolder(options.spool, options.postmaster), options.role, "words");
  const known = await readFile(words, "utf8").catch(() => undefined);
  if (known !== undefined && known !== `${options.words}\n${options.configFile ?? ""}\n`)
    await rm(words, { force: true });
}
