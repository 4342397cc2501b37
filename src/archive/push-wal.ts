import { readFile } from "node:fs/promises";
import path from "node:path";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { readClusterIdentity } from "../postgres/control-file.ts";
import { parseTimelineHistory } from "../postgres/timeline.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import { verifyWalSegment } from "../postgres/wal-header.ts";
import type { Repository } from "../repository/repository.ts";
import type { StoredWal } from "../repository/wal-object.ts";
import { storeWal } from "../repository/wal-object.ts";
import type { SignalOption } from "../storage/object-store.ts";

export interface PushWalOptions extends SignalOption {
  /** `%p`: the file, relative to the working directory that PostgreSQL gave us or absolute */
  readonly path: string;
  /** for the identity of files without a WAL header */
  readonly pgdata: string;
  readonly host: string;
  readonly level: number;
  readonly now: Date;
  readonly log: Log;
}

/**
 * Stores one WAL file durably. When this returns, the file may be recycled; until then PostgreSQL keeps it. Refuses what is not
 * WAL of this cluster: `usage`, `corrupt`, `identity-mismatch`; `conflict` when the name is taken by other content.
 */
export async function pushWal(repository: Repository, options: PushWalOptions): Promise<StoredWal> {
  const name = parseWalFileName(path.basename(options.path));
  if (name === undefined) {
    throw new PgarkError("usage", "not the name of a WAL file", {
      operation: "push",
      object: options.path,
      hint: "archive_command must be: pgark wal-push %p",
    });
  }
  const plain = await readWalFile(options.path);
  const identity = identify(name, plain, options);
  await repository.identityRecord(identity, { signal: options.signal });
  const stored = await storeWal(repository, { ...options, identity, name: name.name, plain });
  options.log.debug(`${stored.outcome} ${name.name}`, { ...stored, plainBytes: plain.length });
  return stored;
}

async function readWalFile(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw ioError("read WAL file", file, error);
    throw new PgarkError("io", "there is no such file", {
      operation: "read WAL file",
      object: file,
      cause: error,
      hint: "a relative path, as PostgreSQL gives it, is looked for in the working directory: run it in the data directory",
    });
  }
}

/** Whose WAL it is: a segment says so itself, and is checked whole; the other files belong to the PGDATA they lie in. */
function identify(name: WalFileName, plain: Uint8Array, options: PushWalOptions): ClusterIdentity {
  if (name.kind === "segment" || name.kind === "partial") {
    const header = verifyWalSegment({ name, bytes: plain });
    if (header.majorVersion === undefined) {
      throw new PgarkError(
        "corrupt",
        `WAL of an unknown PostgreSQL version (page magic 0x${header.magic.toString(16)})`,
        {
          operation: "push",
          object: options.path,
          hint: "this pgark knows PostgreSQL 14 to 18",
        },
      );
    }
    return { majorVersion: header.majorVersion, systemIdentifier: header.systemIdentifier };
  }
  if (name.kind === "history") parseTimelineHistory(Buffer.from(plain).toString("utf8"), name.timeline);
  return readClusterIdentity(options.pgdata);
}
