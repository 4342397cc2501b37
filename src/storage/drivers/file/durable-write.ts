import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, mkdir, open, rename, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";

/** Modes of what a repository holds: its owner writes, its group may read. */
const directoryMode = 0o750;
const fileMode = 0o640;

/** Where unfinished files lie, below the root; a crash leaves them here and nowhere else. */
export const temporaryFolder = ".tmp";

/** A file that is being written under a name that no reader looks at. */
export interface TemporaryFile {
  readonly path: string;
  readonly handle: FileHandle;
}

export async function createTemporaryFile(root: string): Promise<TemporaryFile> {
  const folder = path.join(root, temporaryFolder);
  await makeDirectory(folder);
  const name = path.join(folder, `${process.pid}-${randomBytes(9).toString("hex")}`);
  return { path: name, handle: await open(name, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, fileMode) };
}

/**
 * Gives a finished temporary file its final name, durably: file, then name, then directory. With `ifAbsent` the name is taken by
 * `link`, which cannot replace; the error is then the system's EEXIST.
 */
export async function publish(file: TemporaryFile, target: string, ifAbsent: boolean): Promise<void> {
  await file.handle.sync();
  await file.handle.close();
  for (let attempt = 1; ; attempt++) {
    await makeDirectory(path.dirname(target));
    try {
      if (ifAbsent) await takeName(file.path, target);
      else await rename(file.path, target);
      return await syncDirectory(path.dirname(target));
    } catch (error) {
      // A deleter may take an empty folder away between the two steps; it cannot do so for ever.
      if (errnoOf(error) !== "ENOENT" || attempt === 5 || !(await exists(file.path))) throw error;
    }
  }
}

/** Forgets an unfinished file; it may be half closed or gone already. */
export async function discard(file: TemporaryFile): Promise<void> {
  await file.handle.close().catch(() => undefined);
  await unlink(file.path).catch(() => undefined);
}

async function takeName(from: string, target: string): Promise<void> {
  try {
    await link(from, target);
    await unlink(from);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errnoOf(error) ?? "")) throw error;
    // A file system without hard links (some network and FUSE ones): look, then rename. Not atomic against a second writer,
    // but never half a file.
    if (await exists(target))
      throw Object.assign(new Error(`EEXIST: file already exists, '${target}'`), { code: "EEXIST" });
    await rename(from, target);
  }
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

/** Creates a directory with its parents and makes their names durable too. */
async function makeDirectory(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: directoryMode });
  if (first === undefined) return;
  for (let current = folder; ; current = path.dirname(current)) {
    await syncDirectory(path.dirname(current));
    if (current === first || current === path.dirname(current)) return;
  }
}

async function syncDirectory(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems cannot sync directories; they answer EINVAL and have nothing better to offer.
    if (errnoOf(error) !== "EINVAL") throw error;
  } finally {
    await handle.close();
  }
}
