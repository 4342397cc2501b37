import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, ioError } from "../errors.ts";

/** One life of a postmaster, as `postmaster.pid` tells it (src/include/utils/pidfile.h). */
export interface Postmaster {
  readonly pid: number;
  /** when it started, in seconds since 1970, as written there */
  readonly started: string;
}

/** The postmaster that works in a data directory, or did when it died; undefined when none is named there. */
export function readPostmaster(pgdata: string): Postmaster | undefined {
  const file = join(pgdata, "postmaster.pid");
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw ioError("read postmaster file", file, error);
  }
  const [pid = "", , started = ""] = text.split("\n");
  // A single-user server writes its number negative: it runs neither an archiver nor background processes.
  if (!/^\d+$/.test(pid) || !/^\d+$/.test(started)) return undefined;
  return { pid: Number(pid), started };
}

export function samePostmaster(a: Postmaster | undefined, b: Postmaster | undefined): boolean {
  return a !== undefined && a.pid === b?.pid && a.started === b.started;
}

/** Whether a process of its number lives; also one of another user. */
export function isAlive(postmaster: Postmaster): boolean {
  try {
    process.kill(postmaster.pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}
