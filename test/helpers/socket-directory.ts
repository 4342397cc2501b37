import { tmpdir } from "node:os";
import { mkdtemp, rm } from "node:fs/promises";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { registerCleanup } from "./cleanup.ts";

/** Linux takes no longer path for a unix socket. */
const longestSocketPath = 107;
const socketFile = "/.s.PGSQL.65535";

/** A new directory with a path short enough for PostgreSQL's socket in it. */
export async function socketDirectory(): Promise<string> {
  const prefix = [tmpdir(), "/tmp"]
    .map((parent) => join(parent, "pgs-"))
    .find((candidate) => candidate.length + "XXXXXX".length + socketFile.length <= longestSocketPath);
  if (prefix === undefined) throw new Error(`${tmpdir()} is too long a path for unix sockets`);
  const path = await mkdtemp(prefix);
  registerCleanup({
    dispose: () => rm(path, { recursive: true, force: true }),
    disposeNow: () => rmSync(path, { recursive: true, force: true }),
  });
  return path;
}
