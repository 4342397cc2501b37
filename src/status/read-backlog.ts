import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, ioError } from "../errors.ts";
import type { Session } from "../postgres/connection.ts";
import type { BacklogFacts } from "./status-facts.ts";

const SUFFIX = ".ready";

/**
 * The backlog as the data directory shows it, server or no server. PostgreSQL takes history files first and then the lowest
 * name; which file has waited longest only its time tells. Throws `io` or `denied` when the directory cannot be read.
 */
export async function readBacklogHere(pgdata: string): Promise<BacklogFacts> {
  const folder = join(pgdata, "pg_wal", "archive_status");
  const names = await readdir(folder).catch((error: unknown) => {
    throw ioError("read backlog", folder, error);
  });
  const ready = names.filter((name) => name.endsWith(SUFFIX));
  let files = 0;
  let oldest: BacklogFacts["oldest"];
  for (const name of ready) {
    const since = await modifiedAt(join(folder, name));
    if (since === undefined) continue;
    files++;
    if (oldest === undefined || since < oldest.since) oldest = { name: name.slice(0, -SUFFIX.length), since };
  }
  return { files, oldest };
}

/** Undefined for a file that was archived just now. */
async function modifiedAt(path: string): Promise<Date | undefined> {
  try {
    return (await stat(path)).mtime;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw ioError("read backlog", path, error);
  }
}

const QUERY = `
  SELECT count(*) AS files,
         (array_agg(name ORDER BY modification, name))[1] AS oldest,
         extract(epoch FROM clock_timestamp() - min(modification)) * 1000 AS age
    FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`;

/** The backlog as the server shows it, to a member of pg_monitor; throws `postgres` for others. */
export async function readBacklogThere(session: Session, now: () => Date): Promise<BacklogFacts> {
  const [row = {}] = await session.query(QUERY);
  const [oldest, age] = [row["oldest"], row["age"]];
  return {
    files: Number(row["files"] ?? 0),
    oldest:
      typeof oldest === "string" && typeof age === "string"
        ? { name: oldest.slice(0, -SUFFIX.length), since: new Date(now().getTime() - Number(age)) }
        : undefined,
  };
}
