import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { errnoOf, ioError } from "../errors.ts";
import type { Postmaster } from "../postgres/postmaster-file.ts";
import { isAlive } from "./session.ts";
import { sessionFolder } from "./spool-folder.ts";

/** What the spool tells of archiving ahead. */
export interface PushSpoolFacts {
  /** whether a background process answers */
  readonly running: boolean;
  /** files that are acknowledged, also some that PostgreSQL has asked for since */
  readonly acknowledged: readonly string[];
  /** what failed and was not told to PostgreSQL yet */
  readonly failure: { readonly name: string; readonly problem: string; readonly since: Date } | undefined;
}

/**
 * Looks into the spool of a data directory without touching it. Undefined where there is no session for this postmaster, or
 * where it belongs to another user.
 */
export async function readPushSpool(
  spool: string,
  postmaster: Postmaster,
  now: Date,
): Promise<PushSpoolFacts | undefined> {
  const home = join(sessionFolder(spool, postmaster), "push");
  try {
    const [, , answers = ""] = (await readFile(join(home, "words"), "utf8")).split("\n");
    const folder = join(home, basename(answers));
    const [acknowledged, failed] = await Promise.all([readdir(join(folder, "done")), readdir(join(folder, "failed"))]);
    return {
      running: await isAlive(join(home, "pid"), now),
      acknowledged,
      failure: await readFailure(folder, failed[0]),
    };
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "")) return undefined;
    throw ioError("read spool", home, error);
  }
}

async function readFailure(folder: string, name: string | undefined): Promise<PushSpoolFacts["failure"]> {
  if (name === undefined) return undefined;
  const path = join(folder, "failed", name);
  const [text, { mtime }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
  return { name, problem: (text.split("\n")[0] ?? "").replace(/^pgark: /, ""), since: mtime };
}
