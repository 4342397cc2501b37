import path from "node:path";
import { PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import { readClusterIdentity } from "../postgres/control-file.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";
import type { RepositoryMember } from "../repository/members.ts";
import type { SealedWalFile, SealWalFileOptions } from "../repository/seal-wal-file.ts";
import type { StoredWal } from "../repository/wal-object.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { FileVersion } from "./push-spool.ts";
import { fileVersion, sameVersion } from "./push-spool.ts";
import { storeEverywhere } from "./store-everywhere.ts";
import type { StoreEverywhereOptions } from "./store-everywhere.ts";

type Passed = "quorum" | "graceMs" | "mostPending" | "host" | "expected" | "onBehind" | "signal";

export interface PushWalOptions extends Pick<StoreEverywhereOptions, Passed> {
  /** `%p`: the file, relative to the working directory that PostgreSQL gave us or absolute */
  readonly path: string;
  /** for the identity of files without a WAL header */
  readonly pgdata: string;
  readonly level: number;
  readonly now: Date;
  /** `sealWalFile`, or a worker's */
  readonly seal: (file: string, options: SealWalFileOptions & SignalOption) => Promise<SealedWalFile>;
  readonly log: Log;
}

/**
 * Stores one WAL file durably. When this returns, the file may be recycled; until then PostgreSQL keeps it. Refuses what is not
 * WAL of this cluster: `usage`, `corrupt`, `identity-mismatch`; `conflict` when the name is taken by other content.
 */
export async function pushWal(
  members: readonly RepositoryMember[],
  options: PushWalOptions,
): Promise<readonly StoredWal[]> {
  const { path: file, host, level, now, signal } = options;
  const name = parseWalFileName(path.basename(file));
  if (name === undefined) {
    throw new PgarkError("usage", "not the name of a WAL file", {
      operation: "push",
      object: file,
      hint: "archive_command must be: pgark wal-push %p",
    });
  }
  const stored = await storeEverywhere({
    ...options,
    members,
    name,
    seal: (recipientSets) => sealUnchanged(options, { name, recipientSets, level, writer: host, now, signal }),
    ownIdentity: () => readClusterIdentity(options.pgdata),
  });
  options.log.debug(`stored ${name.name}`, { repositories: stored.length });
  return stored;
}

/** A segment that is recycled while it is read must not be stored under its old name. */
async function sealUnchanged(
  { path: file, seal }: PushWalOptions,
  options: SealWalFileOptions & SignalOption,
): Promise<SealedWalFile> {
  // A file that is not there is `seal`'s to complain of.
  const before = versionOf(file);
  const sealed = await seal(file, options);
  const after = versionOf(file);
  if (before !== undefined && after !== undefined && sameVersion(before, after)) return sealed;
  sealed.release?.();
  throw new PgarkError("io", "the file was changed while it was read", {
    operation: "push",
    object: file,
    hint: "PostgreSQL keeps a segment until it is archived: see what else writes to pg_wal",
  });
}

/** Undefined when it cannot be looked at. */
function versionOf(file: string): FileVersion | undefined {
  try {
    return fileVersion(file);
  } catch {
    return undefined;
  }
}
