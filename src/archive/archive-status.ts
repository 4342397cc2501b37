import { statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ioError } from "../errors.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";

const suffix = ".ready";

/** The names of the WAL files that PostgreSQL wants archived, in the order in which it will ask for them. */
export async function listReady(pgdata: string): Promise<readonly string[]> {
  const folder = archiveStatusFolder(pgdata);
  try {
    const entries = await readdir(folder);
    return entries
      .filter((entry) => entry.endsWith(suffix))
      .map((entry) => entry.slice(0, -suffix.length))
      .filter((name) => parseWalFileName(name) !== undefined)
      .sort(compareReady);
  } catch (error) {
    throw ioError("list WAL to archive", folder, error);
  }
}

/** Whether PostgreSQL still wants this file archived: as long as it does, the file is neither recycled nor removed. */
export function isReady(pgdata: string, name: string): boolean {
  const file = join(archiveStatusFolder(pgdata), name + suffix);
  try {
    return statSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw ioError("look up WAL to archive", file, error);
  }
}

export function archiveStatusFolder(pgdata: string): string {
  return join(pgdata, "pg_wal", "archive_status");
}

/** Timeline histories first, then by name, as pgarch.c does. */
export function compareReady(a: string, b: string): number {
  const [historyA, historyB] = [a.endsWith(".history"), b.endsWith(".history")];
  if (historyA !== historyB) return historyA ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
