import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, opendirSync, openSync } from "node:fs";
import path from "node:path";

/**
 * Makes everything below `roots` durable: files, then the directories that name them. Does not follow links; holds one open
 * directory a level. Throws the system's error for whatever could not be written.
 */
export function syncTree(roots: readonly string[]): void {
  flushFileSystems(roots);
  for (const root of roots) syncDirectoryTree(root);
}

/**
 * Has the kernel write out each whole file system at once: syncing thousands of small files one by one costs a commit of the
 * journal for each. It is only a head start, so whether it works does not matter: the syncs that follow find little left to
 * do, and it is they that report what failed.
 */
function flushFileSystems(roots: readonly string[]): void {
  if (process.platform === "linux") spawnSync("sync", ["-f", "--", ...roots], { stdio: "ignore" });
}

function syncDirectoryTree(directory: string): void {
  const entries = opendirSync(directory);
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      const name = path.join(directory, entry.name);
      if (entry.isDirectory()) syncDirectoryTree(name);
      else if (entry.isFile()) syncEntry(name);
    }
  } finally {
    entries.closeSync();
  }
  syncEntry(directory);
}

/** Syncs one file or directory. */
export function syncEntry(name: string): void {
  const handle = openSync(name, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
