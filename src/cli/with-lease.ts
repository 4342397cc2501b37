import { formatDuration } from "../format.ts";
import { takeLease } from "../repository/lease.ts";
import type { Lease } from "../repository/lease.ts";
import type { Repository } from "../repository/repository.ts";
import type { CommandRun } from "./command.ts";

/** Clocks that differ by more than this are worth a word. */
const clockToleranceMs = 10 * 60_000;

export interface HeldLease {
  readonly lease: Lease;
  /** what time it is by the store's clock, which decides how old things are */
  readonly storeNow: () => Date;
}

/** Takes the lease that whoever deletes must have, works, and gives it back whatever happens. */
export async function withLease<T>(
  run: CommandRun,
  repository: Repository,
  purpose: string,
  work: (held: HeldLease) => Promise<T>,
): Promise<T> {
  const { io, log } = run;
  const { store, cluster } = repository;
  const lease = await takeLease({ store, cluster, host: io.hostName, purpose, now: io.now, log, signal: io.signal });
  const begun = performance.now();
  try {
    const aheadMs = io.now().getTime() - lease.taken.getTime();
    if (Math.abs(aheadMs) > clockToleranceMs) {
      const difference = `${formatDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"}`;
      log.warn(`this host's clock is ${difference} the store's, which is the one that counts here`);
    }
    return await work({
      lease,
      storeNow: () => new Date(lease.taken.getTime() + Math.round(performance.now() - begun)),
    });
  } finally {
    await lease.release();
  }
}
