import { mkdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";

/** Modes of what a repository holds: its owner writes, its group may read. */
const directoryMode = 0o750;
export const fileMode = 0o640;

/** Creates a directory with its parents. Gives back the directories that hold a new name, to be synced, the last one first. */
export async function createDirectory(folder: string): Promise<readonly string[]> {
  const first = await mkdir(folder, { recursive: true, mode: directoryMode }).catch((error: unknown) => {
    if (errnoOf(error) !== "EEXIST") throw error;
    // A file of that name. EEXIST is kept for objects: it means that somebody else's is there already.
    throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${folder}'`), { code: "ENOTDIR", cause: error });
  });
  if (first === undefined) return [];
  const parents: string[] = [];
  for (let current = folder; ; current = path.dirname(current)) {
    parents.push(path.dirname(current));
    if (current === first || current === path.dirname(current)) return parents;
  }
}
