import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../errors.ts";
import type { Postmaster } from "../postgres/postmaster-file.ts";
import { readPostmaster, samePostmaster } from "../postgres/postmaster-file.ts";
import { makePrivateFolder, sessionFolder, sweepSessions, tryToRemove } from "./spool-folder.ts";
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
  /** holds the folders of questions and answers; another session for other words has another one */
  readonly folder: string;
  readonly #options: SessionOptions;
  /** holds `words` and `pid` */
  readonly #home: string;

  private constructor(options: SessionOptions, folder: string) {
    this.#options = options;
    this.#home = homeOf(options);
    this.folder = folder;
  }

  /**
   * Makes this process the one that answers. Answers that were given for the same words stay; all others go. Undefined when
   * another process lives that answers.
   */
  static async enter(options: SessionOptions, now: Date): Promise<SpoolSession | undefined> {
    const home = homeOf(options);
    for (const folder of [options.spool, dirname(home), home]) await makePrivateFolder(folder);
    await sweepSessions(options.spool, dirname(home));
    if (!(await takeOver(join(home, "pid"), now))) return undefined;
    return new SpoolSession(options, (await standingAnswers(options)) ?? (await beginAnswers(options)));
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

  /** Makes all answers given so far count for nothing: what they depended on has changed. */
  async giveUp(): Promise<void> {
    const words = await readFile(this.#path("words"), "utf8").catch(() => undefined);
    if (words === this.#wordsText()) await rm(this.#path("words"), { force: true });
  }

  #path(name: "words" | "pid"): string {
    return join(this.#home, name);
  }

  #wordsText(): string {
    return wordsText(this.#options, this.folder);
  }
}

function homeOf({ spool, postmaster, role }: SessionOptions): string {
  return join(sessionFolder(spool, postmaster), role);
}

/** What the answers are for: the first two of the three lines in `words`, which the front reads. */
function purpose({ words, configFile }: SessionOptions): string {
  return `${words}\n${configFile ?? ""}\n`;
}

/** `words` in full; the last line says where the answers are. */
function wordsText(options: SessionOptions, folder: string): string {
  return `${purpose(options)}${basename(folder)}\n`;
}

/** Writes a pid file, where none is there but those of the dead. */
async function takeOver(path: string, now: Date): Promise<boolean> {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      await writeFile(path, `${process.pid}\n`, { flag: "wx", mode: 0o600 });
      return true;
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    if (await isAlive(path, now)) return false;
    await rm(path, { force: true });
  }
  return false;
}

/** The folder of what was answered for the same words, under the configuration as it is now. */
async function standingAnswers(options: SessionOptions): Promise<string | undefined> {
  const path = join(homeOf(options), "words");
  try {
    const text = await readFile(path, "utf8");
    const folder = join(homeOf(options), text.split("\n")[2] ?? "");
    if (text !== wordsText(options, folder)) return undefined;
    await stat(folder);
    const { configFile } = options;
    const standing = configFile === undefined || (await stat(configFile)).mtimeMs <= (await stat(path)).mtimeMs;
    return standing ? folder : undefined;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Begins anew. The folder has a name that none had before: a process that still works for other words, and finishes late,
 * must not answer here.
 */
async function beginAnswers(options: SessionOptions): Promise<string> {
  const home = homeOf(options);
  const folder = await mkdtemp(join(home, "answers-"));
  for (const name of folders[options.role]) await mkdir(join(folder, name), { mode: 0o700 });
  const temporary = join(home, `words.${process.pid}`);
  await writeFile(temporary, wordsText(options, folder), { mode: 0o600 });
  // A configuration that was changed while it was read is newer than this.
  await utimes(temporary, options.configuredAt, options.configuredAt);
  await rename(temporary, join(home, "words"));
  for (const name of await readdir(home)) {
    if (name.startsWith("answers-") && name !== basename(folder)) await tryToRemove(join(home, name));
  }
  return folder;
}

/** Whether somebody answers in a session: looked at without entering it. */
export async function isAnswered(options: SessionOptions, now: Date): Promise<boolean> {
  return isAlive(join(homeOf(options), "pid"), now);
}

/** Whether the process that a pid file names lives and has shown so lately. */
export async function isAlive(path: string, now: Date): Promise<boolean> {
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
  const path = join(homeOf(options), "words");
  const known = await readFile(path, "utf8").catch(() => undefined);
  if (known !== undefined && !known.startsWith(purpose(options))) await rm(path, { force: true });
}
