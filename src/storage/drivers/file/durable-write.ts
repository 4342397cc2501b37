import { link, rename, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";
import { createDirectory, syncDirectory } from "./directories.ts";
import type { TemporaryFile } from "./temporary-files.ts";

const maxAttempts = 50;

/**
 * Gives a finished temporary file its final name below `root`, durably: file, then name, then directories. With `ifAbsent` the
 * name is taken by `link`, which cannot replace; the error is then the system's EEXIST.
 *
 * The directories are synced all the way up to the root, and even when the name is taken: another writer may have made them,
 * or the very same object, and have died before it could sync. Whoever is told "exists" may take the object for stored.
 */
export async function publish(root: string, file: TemporaryFile, target: string, ifAbsent: boolean): Promise<void> {
  await file.handle.sync();
  await file.handle.close();
  const folder = path.dirname(target);
  const changed = new Set(directoriesUpTo(root, folder));
  try {
    for (const parent of await giveName(file, target, ifAbsent)) changed.add(parent);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") for (const directory of changed) await syncDirectory(directory);
    throw error;
  }
  // Only now, when the folders are not empty any more and will stay.
  for (const directory of changed) await syncDirectory(directory);
}

/** A folder and those above it, the root last. */
function directoriesUpTo(root: string, folder: string): readonly string[] {
  const directories = [folder];
  for (let current = folder; current !== root && current !== path.dirname(current);) {
    current = path.dirname(current);
    directories.push(current);
  }
  return directories;
}

/** Gives back the directories that got a new name in them on the way. */
async function giveName(file: TemporaryFile, target: string, ifAbsent: boolean): Promise<readonly string[]> {
  const changed: string[] = [];
  for (let attempt = 1; ; attempt++) {
    try {
      changed.push(...(await createDirectory(path.dirname(target))));
      if (ifAbsent) await takeName(file.path, target);
      else await rename(file.path, target);
      return changed;
    } catch (error) {
      // A deleter may take an empty folder away between the two steps; it cannot do so for ever.
      if (errnoOf(error) !== "ENOENT" || attempt === maxAttempts || !(await exists(file.path))) throw error;
    }
  }
}

async function takeName(from: string, target: string): Promise<void> {
  try {
    await link(from, target);
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    if (errno === "EEXIST" && (await hasTwoNames(from))) {
      // It was our own link that came first: NFS repeats a call whose answer was lost, and the repetition finds the name taken.
    } else if (["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errno)) {
      await renameIfAbsent(from, target);
      return;
    } else throw error;
  }
  // The object is there; a second name that stays behind is swept some day.
  await unlink(from).catch(() => undefined);
}

/**
 * For a file system without hard links (some network and FUSE ones): look, then rename. Not atomic against a second writer, but
 * never half a file.
 */
async function renameIfAbsent(from: string, target: string): Promise<void> {
  if (await exists(target)) {
    throw Object.assign(new Error(`EEXIST: file already exists, '${target}'`), { code: "EEXIST" });
  }
  await rename(from, target);
}

async function hasTwoNames(name: string): Promise<boolean> {
  return (await stat(name)).nlink > 1;
}

async function exists(name: string): Promise<boolean> {
  try {
    await stat(name);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
