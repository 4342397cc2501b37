import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Session } from "../postgres/connection.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";
import { walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { readHead } from "../repository/wal-object.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { TakenName } from "./status-facts.ts";

export interface TakenNameOptions extends SignalOption {
  readonly identity: ClusterIdentity;
  /** of the file that PostgreSQL fails to archive */
  readonly name: string;
  /** where the server's own file may be looked at; either may be missing */
  readonly pgdata: string | undefined;
  readonly session: Session | undefined;
}

/** What the repository holds under the name of a file that PostgreSQL fails to archive; undefined when it holds nothing. */
export async function readTakenName(repository: Repository, options: TakenNameOptions): Promise<TakenName | undefined> {
  const { identity, name, signal } = options;
  if (parseWalFileName(name) === undefined) return undefined;
  const key = walKey(repository.cluster, identity, name, repository.encrypted);
  try {
    const head = await readHead(repository, key, { signal });
    const here = await digestOfServersFile(options);
    return {
      name,
      same: here === undefined || head === undefined ? undefined : here === head.sha256,
      writer: head?.writer,
      written: head?.written,
    };
  } catch (error) {
    if (isPgarkError(error, "not-found")) return undefined;
    throw error;
  }
}

/** SHA-256, hexadecimal, of the file in `pg_wal`; undefined where neither this user nor the role may read it. */
async function digestOfServersFile({ name, pgdata, session }: TakenNameOptions): Promise<string | undefined> {
  if (pgdata !== undefined) {
    const hash = createHash("sha256");
    try {
      await pipeline(createReadStream(join(pgdata, "pg_wal", name)), hash);
      return hash.digest("hex");
    } catch {
      // Then the server is asked.
    }
  }
  try {
    const rows = await session?.query("SELECT encode(sha256(pg_read_binary_file('pg_wal/' || $1)), 'hex') AS sha256", [
      name,
    ]);
    return rows?.[0]?.["sha256"] ?? undefined;
  } catch (error) {
    if (isPgarkError(error, "postgres")) return undefined;
    throw error;
  }
}
