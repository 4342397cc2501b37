import { link, rename, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";
import { createDirectory, syncDirectory } from "./directories.ts";
import type { TemporaryFile } from "./temporary-files.ts";

const maxAttempts = 50;

/**
 * Gives a finished temporary file its final name, durably: file, then name, then directories. With `ifAbsent` the name is taken by
 * `link`, which cannot replace; the error is then the system's EEXIST.
 */
export async function publish(file: TemporaryFile, target: string, ifAbsent: boolean): Promise<void> {
  await file.handle.sync();
  await file.handle.close();
  await giveName(file, target, ifAbsent);
}

async function giveName(file: TemporaryFile, target: string, ifAbsent: boolean): Promise<void> {
  const folder = path.dirname(target);
  const changed = new Set([folder]);
  for (let attempt = 1; ; attempt++) {
    try {
      for (const parent of await createDirectory(folder)) changed.add(parent);
      if (ifAbsent) await takeName(file.path, target);
      else await rename(file.path, target);
      break;
    } catch (error) {
      // A deleter may take an empty folder away between the two steps; it cannot do so for ever.
      if (errnoOf(error) !== "ENOENT" || attempt === maxAttempts || !(await exists(file.path))) throw error;
    }
  }
  // Only now, when the folders are not empty any more and will stay.
  for (const directory of changed) await syncDirectory(directory);
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
