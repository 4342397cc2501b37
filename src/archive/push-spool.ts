import { readdir, rename, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
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

export async function fileVersion(path: string): Promise<FileVersion> {
  const { mtimeMs, size, ino } = await stat(path);
  return { mtimeMs, size, inode: ino };
}

export function sameVersion(a: FileVersion, b: FileVersion): boolean {
  return a.mtimeMs === b.mtimeMs && a.size === b.size && a.inode === b.inode;
}

/**
 * The questions and answers of wal-push in a session of the spool: `asked/<file>` is a front that waits, `done/<file>` says
 * that the file is durable in the repository, `failed/<file>` says why not, for PostgreSQL's log. No WAL lies here.
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
  async begin(): Promise<Map<string, FileVersion | undefined>> {
    for (const name of await readdir(join(this.#folder, "failed")))
      await rm(join(this.#folder, "failed", name), { force: true });
    return new Map((await readdir(join(this.#folder, "done"))).map((name) => [name, undefined]));
  }

  /** The files that a front waits for. */
  async questions(): Promise<readonly string[]> {
    return readdir(this.asked);
  }

  /**
   * The file is durable in the repository. `version`: as it was before it was read. Says whether a front waits for it.
   */
  async acknowledge(name: string, version: FileVersion): Promise<boolean> {
    const path = join(this.#folder, "done", name);
    await writeFile(path, "", { mode: 0o600 });
    // The time of the file, rounded up; see `bin/pgark`. No other clock has a say in it.
    const time = new Date(Math.ceil(version.mtimeMs) + 1);
    await utimes(path, time, time);
    return this.answered(name);
  }

  async fail(name: string, message: string): Promise<void> {
    const temporary = join(this.#folder, `failed.${process.pid}`);
    await writeFile(temporary, message, { mode: 0o600 });
    await rename(temporary, join(this.#folder, "failed", name));
    await this.answered(name);
  }

  /** Removes acknowledgements that have served, here and from `done`. Says whether there were such, a moment ago or now. */
  async sweep(done: Map<string, unknown>, now: Date): Promise<boolean> {
    let served = false;
    for (const name of done.keys()) {
      const path = join(this.#folder, "done", name);
      if (await isReady(this.#pgdata, name)) continue;
      served = true;
      if (now.getTime() - (await createdMs(path)) < keptMs) continue;
      await unlink(path).catch(() => undefined);
      done.delete(name);
    }
    return served;
  }

  /** A question that has its answer; false when nobody had asked. */
  async answered(name: string): Promise<boolean> {
    try {
      await unlink(join(this.asked, name));
      return true;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      return false;
    }
  }
}

/** When the file got its times, in milliseconds; 0 when it is gone. */
async function createdMs(path: string): Promise<number> {
  try {
    return (await stat(path)).ctimeMs;
  } catch {
    return 0;
  }
}
