import { link, rename, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";
import { createDirectory } from "./directories.ts";
import type { DurableDirectories } from "./durable-directories.ts";
import type { TemporaryFile } from "./temporary-files.ts";

const maxAttempts = 50;

/**
 * Gives a finished temporary file its final name, durably: file, then name, then directories. With `ifAbsent` the name is taken by
 * `link`, which cannot replace; the error is then the system's EEXIST. The directories are synced even then: the other writer
 * may have died before it could. Whoever is told "exists" may take the object for stored.
 */
export async function publish(
  directories: DurableDirectories,
  file: TemporaryFile,
  target: string,
  ifAbsent: boolean,
): Promise<void> {
  await file.handle.sync();
  await file.handle.close();
  const folder = path.dirname(target);
  let made: readonly string[];
  try {
    made = await giveName(file, target, ifAbsent);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") await directories.sync(folder, []);
    throw error;
  }
  await directories.sync(folder, made);
}

/** Gives back the directories that got a new name in them on the way. */
async function giveName(file: TemporaryFile, target: string, ifAbsent: boolean): Promise<readonly string[]> {
  const made: string[] = [];
  for (let attempt = 1; ; attempt++) {
    try {
      if (ifAbsent) await takeName(file.path, target);
      else await rename(file.path, target);
      return made;
    } catch (error) {
      // The folder is not there: not yet, or a deleter took it away when it was empty, which it cannot do for ever.
      if (errnoOf(error) !== "ENOENT" || attempt === maxAttempts || !(await exists(file.path))) throw error;
    }
    made.push(...(await createDirectory(path.dirname(target))));
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
