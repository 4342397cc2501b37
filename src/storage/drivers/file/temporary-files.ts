import { randomBytes } from "node:crypto";
import { constants, readFileSync, readlinkSync } from "node:fs";
import { open, readdir, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../errors.ts";
import type { Leftover } from "../../object-store.ts";
import { createDirectory, fileMode } from "./directories.ts";
import { syncDirectory } from "./durable-directories.ts";

/** Where unfinished files lie, below the root; a crash leaves them here and nowhere else. */
export const temporaryFolder = ".tmp";

/** What another machine left unfinished is kept this long after its last write; no upload is silent for a week. */
const graceMs = 7 * 24 * 3600 * 1000;

/** A file that is being written under a name that no reader looks at. */
export interface TemporaryFile {
  readonly path: string;
  readonly handle: FileHandle;
}

/** @param mayCreate whether a root that is missing or empty is made; else it is an ENOENT */
export async function createTemporaryFile(root: string, mayCreate: boolean): Promise<TemporaryFile> {
  const folder = path.join(root, temporaryFolder);
  const name = path.join(folder, `${processSpace()}.${process.pid}.${randomBytes(9).toString("hex")}`);
  const create = (): Promise<FileHandle> =>
    open(name, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, fileMode);
  try {
    return { path: name, handle: await create() };
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    // The folder itself may be missing in a repository that was copied.
    if (!mayCreate && (await readdir(root)).length === 0) throw error;
  }
  // The first write of all makes the root, too.
  for (const parent of await createDirectory(folder)) await syncDirectory(parent);
  return { path: name, handle: await create() };
}

/** Forgets an unfinished file; it may be half closed or gone already. */
export async function discard(file: TemporaryFile): Promise<void> {
  await file.handle.close().catch(() => undefined);
  await unlink(file.path).catch(() => undefined);
}

/**
 * Removes what dead processes left. Those of this machine are known to be dead by their id; several machines may share the
 * repository, and theirs are taken for dead when not written for a week. `own` is a file just created: its time is that of
 * the clock which stamps them all, an NFS server's perhaps. Best effort: whatever fails is left for the next time.
 */
export async function sweepTemporaryFiles(root: string, own: TemporaryFile): Promise<void> {
  const folder = path.join(root, temporaryFolder);
  try {
    const now = (await own.handle.stat()).mtimeMs;
    for (const name of await readdir(folder)) {
      const file = path.join(folder, name);
      if (file !== own.path && (isLeftHere(name) || now - (await stat(file)).mtimeMs > graceMs)) await unlink(file);
    }
  } catch {
    // somebody else sweeps too, or may not; nothing depends on it
  }
}

/** Unfinished files, all but those whose writer is seen at work from here. */
export async function leftTemporaryFiles(root: string): Promise<readonly Leftover[]> {
  const folder = path.join(root, temporaryFolder);
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  });
  const found: Leftover[] = [];
  for (const name of names.filter((each) => !isWrittenHere(each))) {
    const info = await stat(path.join(folder, name)).catch(() => undefined); // finished meanwhile
    if (info !== undefined) found.push({ key: `${temporaryFolder}/${name}`, id: name, modified: info.mtime });
  }
  return found;
}

export async function removeTemporaryFile(root: string, name: string): Promise<void> {
  await unlink(path.join(root, temporaryFolder, path.basename(name))).catch((error: unknown) => {
    if (errnoOf(error) !== "ENOENT") throw error;
  });
}

/** Whether a process that can be seen from here may be writing the file. */
function isWrittenHere(name: string): boolean {
  const [space] = name.split(".");
  return space !== unknownSpace && space === processSpace() && !isLeftHere(name);
}

/** Whether a process that could be seen from here wrote the file, and is gone. */
function isLeftHere(name: string): boolean {
  const [space, pid] = name.split(".");
  if (space !== processSpace() || space === unknownSpace) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return errnoOf(error) === "ESRCH";
  }
}

const unknownSpace = "elsewhere";

/** Names within which process ids mean the same: this boot of this machine and this namespace (a container has its own). */
function processSpace(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").replace(/[^0-9a-f]/g, "");
    const namespace = readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
    return boot === "" || namespace === "" ? unknownSpace : `${boot}-${namespace}`;
  } catch {
    return unknownSpace; // not Linux
  }
}
