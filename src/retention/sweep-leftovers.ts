import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { backupsFolder, identityFolder } from "../repository/layout.ts";
import type { Lease } from "../repository/lease.ts";
import type { Repository } from "../repository/repository.ts";
import type { Leftover, SignalOption } from "../storage/object-store.ts";
import { isRefusal } from "../storage/undeleted.ts";

/** An upload that was begun, or last written, so long ago belongs to nobody any more, unless its backup is being taken. */
const uploadGraceMs = 7 * 24 * 3600_000;

export interface SweepLeftoversOptions extends SignalOption {
  readonly identity: ClusterIdentity;
  /** labels of abandoned backups that were swept just now: nobody goes on with their uploads */
  readonly swept: readonly string[];
  /** labels of backups that are being taken */
  readonly running: ReadonlySet<string>;
  readonly storeNow: () => Date;
  readonly lease: Lease;
  readonly log: Log;
}

/** Clears away unfinished uploads of writers that are gone, where the store tells of them. Resolves with how many. */
export async function sweepLeftovers(repository: Repository, options: SweepLeftoversOptions): Promise<number> {
  const { leftovers } = repository.store;
  if (leftovers === undefined) return 0;
  const { identity, lease, log, signal } = options;
  let removed = 0;
  try {
    for await (const leftover of leftovers.list(identityFolder(repository.cluster, identity), { signal })) {
      if (!isNobodys(leftover, labelOf(repository, identity, leftover), options)) continue;
      await lease.check({ signal });
      await leftovers.remove(leftover, { signal });
      removed++;
    }
  } catch (error) {
    // Not every store can tell, and not everybody may ask; what costs a little must not keep WAL from going.
    if (!isRefusal(error) || signal?.aborted) throw error;
    log.warn(`unfinished uploads were not looked for: ${error.message}`);
  }
  return removed;
}

function isNobodys(
  { modified }: Leftover,
  label: string | undefined,
  { swept, running, storeNow }: SweepLeftoversOptions,
): boolean {
  if (label !== undefined && swept.includes(label)) return true;
  if (label !== undefined && running.has(label)) return false;
  return storeNow().getTime() - modified.getTime() > uploadGraceMs;
}

function labelOf(repository: Repository, identity: ClusterIdentity, { key }: Leftover): string | undefined {
  const folder = backupsFolder(repository.cluster, identity);
  return key.startsWith(folder) ? key.slice(folder.length).split("/")[0] : undefined;
}
