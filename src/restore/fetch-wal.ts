import { rename, unlink } from "node:fs/promises";
import { ioError, isPgarkError, PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import { walKey } from "../repository/layout.ts";
import { openWalFile } from "../repository/open-wal-file.ts";
import type { Repository } from "../repository/repository.ts";
import { getSealedWal } from "../repository/wal-object.ts";
import type { SignalOption } from "../storage/object-store.ts";

export interface FetchWalOptions extends SignalOption {
  /** `%f`: what PostgreSQL asks for */
  readonly name: string;
  /** `%p`: where it wants it */
  readonly destination: string;
  readonly identity: ClusterIdentity;
  /** whether `X.partial` may stand in for an `X` that is not there: on a standby only, or when asked for */
  readonly partial: boolean;
  readonly log: Log;
}

/**
 * Brings one WAL file to where PostgreSQL wants it: decrypted, verified, whole, under its name at once or not at all. "absent"
 * means that the store answered, positively, that there is none; all else that goes wrong is thrown.
 */
export async function fetchWal(
  repository: Repository,
  options: FetchWalOptions,
): Promise<"delivered" | "delivered-partial" | "absent"> {
  const name = parseWalFileName(options.name);
  if (name === undefined) {
    throw new PgarkError("usage", "not the name of a WAL file", {
      operation: "fetch",
      object: options.name,
      hint: 'restore_command must be: pgark wal-fetch %f "%p"',
    });
  }
  if (await deliver(repository, options, name)) return "delivered";
  if (options.partial && name.kind === "segment") {
    const partial = parseWalFileName(`${options.name}.partial`);
    if (partial !== undefined && (await deliver(repository, options, partial))) {
      options.log.warn(`served ${options.name}.partial for ${options.name}: there is no complete one`);
      return "delivered-partial";
    }
  }
  // A repository that went away (an unmounted disk) answers "no such file" to everything. That its identity is still there
  // makes the answer one about this file. Throws otherwise.
  await repository.identityRecord(options.identity, { signal: options.signal });
  return "absent";
}

/**
 * Writes beside the destination and renames. Not synced: after a crash PostgreSQL asks again, and it syncs what it keeps. The
 * temporary name is always the same one, so that a killed fetch leaves nothing that the next does not overwrite.
 */
async function deliver(repository: Repository, options: FetchWalOptions, name: WalFileName): Promise<boolean> {
  const { identity, destination, signal } = options;
  let stored: Uint8Array;
  try {
    stored = await getSealedWal(repository, identity, name.name, { signal });
  } catch (error) {
    if (isPgarkError(error, "not-found")) return false;
    throw error;
  }
  const { encrypted, secretKeys: identities } = repository;
  const key = walKey(repository.cluster, identity, name.name, encrypted);
  const temporary = `${destination}.pgark`;
  await openWalFile(stored, temporary, { name, identity, encrypted, identities, key });
  try {
    await rename(temporary, destination);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw ioError("write WAL file", destination, error);
  }
  return true;
}
