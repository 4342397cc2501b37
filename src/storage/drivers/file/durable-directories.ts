import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";

/** Each holds thousands of objects; of a process that stays, only the last ones matter. */
const mostRemembered = 100;

/**
 * Makes the names in directories durable. A directory's own name, and those of all above it up to the root, are synced when it is
 * met for the first time; then it is known by its inode, and only its own content is synced. One that was removed and made
 * anew is another inode, born at another time, and is met for the first time again.
 */
export class DurableDirectories {
  readonly #root: string;
  /** by path: what tells the directory that was synced from a later one of that name */
  readonly #known = new Map<string, string>();

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * To be called when the name is in the directory, which is not empty then and will stay: another writer may have made it, and
   * have died before it could sync. `made` lists directories that got a new name in them when this one was made.
   */
  async sync(folder: string, made: readonly string[]): Promise<void> {
    const identity = await syncDirectory(folder);
    if (identity !== undefined && made.length === 0 && this.#known.get(folder) === identity) return;
    const above = new Set([...directoriesAbove(this.#root, folder), ...made]);
    above.delete(folder);
    for (const directory of above) await syncDirectory(directory);
    if (identity !== undefined) this.#remember(folder, identity);
  }

  #remember(folder: string, identity: string): void {
    this.#known.delete(folder);
    this.#known.set(folder, identity);
    const [oldest] = this.#known.keys();
    if (this.#known.size > mostRemembered && oldest !== undefined) this.#known.delete(oldest);
  }
}

/** The folders above one, the root last. */
function directoriesAbove(root: string, folder: string): readonly string[] {
  const directories: string[] = [];
  for (let current = folder; current !== root && current !== path.dirname(current);) {
    current = path.dirname(current);
    directories.push(current);
  }
  return directories;
}

/** Makes the names in a directory durable; says which directory it was, or undefined where that cannot be told. */
export async function syncDirectory(folder: string): Promise<string | undefined> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
    return await identityOf(handle);
  } catch (error) {
    // Some file systems cannot sync directories; they answer EINVAL and have nothing better to offer.
    if (errnoOf(error) !== "EINVAL") throw error;
    return undefined;
  } finally {
    await handle.close();
  }
}

/** An inode's number is used again when it is removed. Not so together with the time of its birth, where that is kept. */
async function identityOf(handle: FileHandle): Promise<string | undefined> {
  const { dev, ino, birthtimeNs } = await handle.stat({ bigint: true });
  return birthtimeNs > 0n ? `${dev}:${ino}:${birthtimeNs}` : undefined;
}
