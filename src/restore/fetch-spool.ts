import { mkdtemp, readdir, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../errors.ts";
import { tryToRemove } from "../spool/spool-folder.ts";

/** An answer that nobody has read for so long is nobody's; its reader may be dead, and its number another's. */
const keptMs = 10_000;

/** A front that waits for a file. */
export interface Question {
  /** `<file>.<number of the front's process>` */
  readonly id: string;
  /** the file */
  readonly name: string;
}

/**
 * The questions and answers of wal-fetch in a session of the spool. `wal/<file>` is a verified file, ready to be moved into place;
 * `asked/<question>` a front that waits; `absent/` and `declined/<question>` answers to that one question alone.
 */
export class FetchSpool {
  readonly asked: string;
  readonly wal: string;
  readonly #folder: string;
  /** where this process, and no other, writes files before they are offered */
  #incoming = "";

  constructor(folder: string) {
    this.#folder = folder;
    this.asked = join(folder, "asked");
    this.wal = join(folder, "wal");
  }

  /** Removes what an earlier process left half done. */
  async begin(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (name.startsWith("incoming-")) await tryToRemove(join(this.#folder, name));
    }
    this.#incoming = await mkdtemp(join(this.#folder, "incoming-"));
  }

  async questions(): Promise<readonly Question[]> {
    return (await readdir(this.asked)).map((id) => ({ id, name: id.slice(0, id.lastIndexOf(".")) }));
  }

  /** The files that can be moved into place. */
  async present(): Promise<readonly string[]> {
    return readdir(this.wal);
  }

  /** Where to write a file before it is offered. */
  incoming(name: string): string {
    return join(this.#incoming, name);
  }

  /** Offers a file that was written as `incoming` said, and verified. */
  async offer(name: string): Promise<void> {
    await rename(this.incoming(name), join(this.wal, name));
  }

  async withdraw(name: string): Promise<void> {
    await remove(join(this.wal, name));
  }

  /** Answers a question for good; without an answer because the file is there now. */
  async answer(question: Question, answer?: "absent" | "declined"): Promise<void> {
    if (answer !== undefined) await writeFile(join(this.#folder, answer, question.id), "", { mode: 0o600 });
    await remove(join(this.asked, question.id));
  }

  /** Removes answers that nobody came for. */
  async sweep(now: Date): Promise<void> {
    for (const folder of ["absent", "declined"]) {
      for (const id of await readdir(join(this.#folder, folder))) {
        const path = join(this.#folder, folder, id);
        const written = await stat(path).catch(() => undefined);
        if (written !== undefined && now.getTime() - written.mtimeMs > keptMs) await remove(path);
      }
    }
  }

  /** Gives back the space. */
  async end(): Promise<void> {
    await rm(this.#incoming, { recursive: true, force: true });
    // None, when the session was made anew.
    for (const name of await this.present().catch(() => [])) await this.withdraw(name);
  }
}

async function remove(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
