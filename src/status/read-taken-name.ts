import { createReadStream } from "node:fs";
import { join } from "node:path";
import { isPgarkError, throwIfAborted } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Session } from "../postgres/connection.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";
import { newContentDigest } from "../repository/envelope/content-digest.ts";
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
      same: here === undefined || head === undefined ? undefined : here === head.digest,
      writer: head?.writer,
      written: head?.written,
    };
  } catch (error) {
    if (isPgarkError(error, "not-found")) return undefined;
    throw error;
  }
}

/** The digest of the file in `pg_wal`; undefined where neither this user nor the role may read it, or it is not there. */
async function digestOfServersFile(options: TakenNameOptions): Promise<string | undefined> {
  const { name, pgdata, session } = options;
  if (pgdata !== undefined) {
    try {
      return await digestOf(createReadStream(join(pgdata, "pg_wal", name), { highWaterMark: localPieceSize }));
    } catch {
      // Then the server is asked.
    }
  }
  if (session === undefined) return undefined;
  try {
    return await digestOf(readThere(session, options));
  } catch (error) {
    if (isPgarkError(error, "postgres")) return undefined;
    throw error;
  }
}

async function digestOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const digest = newContentDigest();
  for await (const piece of pieces) digest.update(piece);
  return digest.hex();
}

/** Bytes that are read at once. */
const localPieceSize = 256 * 1024;
const remotePieceSize = 4 * 1024 * 1024;

/**
 * The file as the server sends it, which has no function for this digest. Throws `postgres` when it does not, also because the
 * file was recycled meanwhile.
 */
async function* readThere(session: Session, { name, signal }: TakenNameOptions): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; offset += remotePieceSize) {
    throwIfAborted(signal, "read the server's WAL file");
    const rows = await session.query("SELECT encode(pg_read_binary_file('pg_wal/' || $1, $2, $3), 'base64') AS piece", [
      name,
      offset,
      remotePieceSize,
    ]);
    const piece = Buffer.from(rows[0]?.["piece"] ?? "", "base64");
    yield piece;
    if (piece.length < remotePieceSize) return;
  }
}
