import type { Dirent } from "node:fs";
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";
import type { ListedObject, ObjectInfo } from "../../object-store.ts";
import { compareKeys, sortKeys } from "../../compare-keys.ts";
import { translateFileError } from "./file-errors.ts";
import { temporaryFolder } from "./temporary-files.ts";

/**
 * All files below `root` whose key begins with `prefix`, in byte order of the keys, after `startAfter`. Holds one directory per
 * level. Synchronous calls: a stat through the thread pool costs ten times as much, and a repository has millions of files.
 */
export function* listDirectory(root: string, prefix: string, startAfter: string): Generator<ObjectInfo> {
  for (const { info } of listNames(root, prefix, startAfter)) {
    const found = info();
    if (found !== undefined) yield found;
  }
}

/** As `listDirectory`, but with a stat only for those files whose details are asked for: names alone take a fifth of the time. */
export function* listNames(root: string, prefix: string, startAfter: string): Generator<ListedObject> {
  const slash = prefix.lastIndexOf("/");
  yield* walk(root, prefix.slice(0, slash + 1), prefix, startAfter);
}

function* walk(root: string, folder: string, prefix: string, startAfter: string): Generator<ListedObject> {
  // What holds for a folder's own key holds for all below it, and need not be asked again for each of many files.
  const isWanted = folder.startsWith(prefix) && compareKeys(folder, startAfter) > 0;
  for (const entry of sortedEntries(root, folder)) {
    const key = folder + entry;
    if (entry.endsWith("/")) {
      const mayHold = key.startsWith(prefix) || prefix.startsWith(key);
      // Everything below a folder sorts before "folder0" ("0" follows "/"), so a whole folder can be passed over.
      if (mayHold && compareKeys(`${key.slice(0, -1)}0`, startAfter) > 0) yield* walk(root, key, prefix, startAfter);
    } else if (isWanted || (key.startsWith(prefix) && compareKeys(key, startAfter) > 0)) {
      yield { key, info: () => infoOf(root, key) };
    }
  }
}

/** Names in byte order as they stand in keys: folders with their slash, so that "a.b" comes before "a/". */
export function sortedEntries(root: string, folder: string): readonly string[] {
  try {
    const parts = readdirSync(path.join(root, folder), { withFileTypes: true })
      .filter((entry) => !(folder === "" && entry.name === temporaryFolder))
      .map((entry) => keyPart(entry))
      .filter((part) => part !== undefined);
    return sortKeys(parts);
  } catch (error) {
    // ENOTDIR: the prefix goes through a file; nothing can lie below it.
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

/** Links are followed, as reading does: a folder may have been moved to another disk. Sockets and such are nobody's. */
function keyPart(entry: Dirent): string | undefined {
  let found: Pick<Dirent, "isDirectory" | "isFile"> | undefined = entry;
  if (entry.isSymbolicLink()) {
    found = statSync(path.join(entry.parentPath, entry.name), { throwIfNoEntry: false });
  }
  if (found?.isDirectory()) return `${entry.name}/`;
  return found?.isFile() ? entry.name : undefined;
}

function infoOf(root: string, key: string): ObjectInfo | undefined {
  try {
    const found = statSync(path.join(root, key));
    return { key, size: found.size, modified: found.mtime };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined; // deleted since the directory was read
    throw translateFileError("list objects", key, error, true); // it may be asked for far from where the list is made
  }
}
