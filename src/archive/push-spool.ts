import { readdirSync, renameSync, rmSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../errors.ts";
import { isReady } from "./archive-status.ts";

/** An acknowledgement outlives its `.ready` for so long: whoever asked by hand may still be waiting for it. */
const keptMs = 10_000;

/** What identifies the content of a WAL file on disk, as long as PostgreSQL wants it archived. */
export interface FileVersion {
  readonly mtimeMs: number;
  readonly size: number;
  readonly inode: number;
}

export function fileVersion(path: string): FileVersion {
  const { mtimeMs, size, ino } = statSync(path);
  return { mtimeMs, size, inode: ino };
}

export function sameVersion(a: FileVersion, b: FileVersion): boolean {
  return a.mtimeMs === b.mtimeMs && a.size === b.size && a.inode === b.inode;
}

/**
 * The questions and answers of wal-push in a session of the spool: `asked/<file>` is a front that waits, `done/<file>` says
 * that the file is durable in the repository, `failed/<file>` says why not, for PostgreSQL's log. No WAL lies here. All calls
 * wait for the system: they take microseconds, and a promise's way through other threads takes ten times that, for each of
 * a dozen calls a segment.
 */
export class PushSpool {
  readonly asked: string;
  readonly #folder: string;
  readonly #pgdata: string;

  constructor(folder: string, pgdata: string) {
    this.#folder = folder;
    this.#pgdata = pgdata;
    this.asked = join(folder, "asked");
  }

  /** What an earlier process of this session left: its acknowledgements hold, its failures were its own. */
  begin(): Map<string, FileVersion | undefined> {
    for (const name of readdirSync(join(this.#folder, "failed")))
      rmSync(join(this.#folder, "failed", name), { force: true });
    return new Map(readdirSync(join(this.#folder, "done")).map((name) => [name, undefined]));
  }

  /** The files that a front waits for. */
  questions(): readonly string[] {
    return readdirSync(this.asked);
  }

  /**
   * The file is durable in the repository. `version`: as it was before it was read. Says whether a front waits for it.
   */
  acknowledge(name: string, version: FileVersion): boolean {
    const path = join(this.#folder, "done", name);
    writeFileSync(path, "", { mode: 0o600 });
    // The time of the file, rounded up; see `bin/pgark`. No other clock has a say in it.
    const time = new Date(Math.ceil(version.mtimeMs) + 1);
    utimesSync(path, time, time);
    return this.answered(name);
  }

  fail(name: string, message: string): void {
    const temporary = join(this.#folder, `failed.${process.pid}`);
    writeFileSync(temporary, message, { mode: 0o600 });
    renameSync(temporary, join(this.#folder, "failed", name));
    this.answered(name);
  }

  /** Removes acknowledgements that have served, here and from `done`. Says whether there were such, a moment ago or now. */
  sweep(done: Map<string, unknown>, now: Date): boolean {
    let served = false;
    for (const name of done.keys()) {
      if (isReady(this.#pgdata, name)) continue;
      served = true;
      const path = join(this.#folder, "done", name);
      if (now.getTime() - createdMs(path) < keptMs) continue;
      rmSync(path, { force: true });
      done.delete(name);
    }
    return served;
  }

  /** A question that has its answer; false when nobody had asked. */
  answered(name: string): boolean {
    try {
      unlinkSync(join(this.asked, name));
      return true;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      return false;
    }
  }
}

/** When the file got its times, in milliseconds; 0 when it is gone. */
function createdMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0;
}
