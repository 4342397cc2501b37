import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
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
 * `asked/<question>` a front that waits; `absent/` and `declined/<question>` answers to that one question alone. What is done
 * for each file waits for the system: see `PushSpool`.
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

  questions(): readonly Question[] {
    return readdirSync(this.asked).map((id) => ({ id, name: id.slice(0, id.lastIndexOf(".")) }));
  }

  /** The files that can be moved into place. */
  present(): readonly string[] {
    return readdirSync(this.wal);
  }

  /** Where to write a file before it is offered. */
  incoming(name: string): string {
    return join(this.#incoming, name);
  }

  /** Offers a file that was written as `incoming` said, and verified. */
  offer(name: string): void {
    renameSync(this.incoming(name), join(this.wal, name));
  }

  withdraw(name: string): void {
    rmSync(join(this.wal, name), { force: true });
  }

  /** Answers a question for good; without an answer because the file is there now. */
  answer(question: Question, answer?: "absent" | "declined"): void {
    if (answer !== undefined) writeFileSync(join(this.#folder, answer, question.id), "", { mode: 0o600 });
    rmSync(join(this.asked, question.id), { force: true });
  }

  /** Removes answers that nobody came for. */
  sweep(now: Date): void {
    for (const folder of ["absent", "declined"]) {
      for (const id of readdirSync(join(this.#folder, folder))) {
        const path = join(this.#folder, folder, id);
        const written = statSync(path, { throwIfNoEntry: false });
        if (written !== undefined && now.getTime() - written.mtimeMs > keptMs) rmSync(path, { force: true });
      }
    }
  }

  /** Gives back the space. */
  async end(): Promise<void> {
    await rm(this.#incoming, { recursive: true, force: true });
    // None, when the session was made anew.
    for (const name of await readdir(this.wal).catch(() => [])) this.withdraw(name);
  }
}
