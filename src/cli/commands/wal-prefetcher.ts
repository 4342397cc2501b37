import { isPgarkError } from "../../errors.ts";
import { readClusterIdentity } from "../../postgres/control-file.ts";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import type { WalFileName } from "../../postgres/wal-file-name.ts";
import { walKey } from "../../repository/layout.ts";
import type { Repository } from "../../repository/repository.ts";
import { getSealedWal } from "../../repository/wal-object.ts";
import { WalWorkerPool } from "../../repository/worker/wal-worker-pool.ts";
import { fetchAhead } from "../../restore/fetch-ahead.ts";
import { SpoolSession } from "../../spool/session.ts";
import { sessionOf, watchForChanges } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import { isStandby } from "../standby.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark wal-prefetcher <after>`: the background process that fetches ahead of restore_command. */
export async function main(run: CommandRun): Promise<number> {
  const { io, log, settings } = run;
  const [after = ""] = run.args;
  const options = sessionOf(run, "fetch");
  if (options === undefined) return EXIT.ok;
  const unchanged = await watchForChanges(run);
  const session = await SpoolSession.enter(options);
  if (!(await session.takeOver(io.now()))) return EXIT.ok;
  const jobs = settings.values.jobs ?? defaultJobs(io.processors);
  const pool = new WalWorkerPool(jobs);
  const identity = readClusterIdentity(io.cwd);
  try {
    log.info("began to fetch ahead", { pid: process.pid, jobs, after });
    const end = await withRepository(run, { keys: "all" }, async (repository) => {
      const { walSegmentSize } = await repository.identityRecord(identity, { signal: io.signal });
      const fetcher = new Fetch(run, repository, identity, pool);
      return fetchAhead({
        session,
        load: (name, path, asked) => fetcher.load(name, path, asked),
        hasStandIn: (name) => fetcher.hasPartial(name),
        segmentSize: walSegmentSize,
        most: settings.values.prefetch,
        inFlight: jobs * 2,
        lingerMs: settings.values.linger,
        after,
        unchanged,
        now: io.now,
        log,
        signal: io.signal,
      });
    });
    log.info(`ended: ${end}`);
    return EXIT.ok;
  } finally {
    await session.leave();
    await pool.close();
  }
}

class Fetch {
  readonly #run: CommandRun;
  readonly #repository: Repository;
  readonly #identity: ClusterIdentity;
  readonly #pool: WalWorkerPool;

  constructor(run: CommandRun, repository: Repository, identity: ClusterIdentity, pool: WalWorkerPool) {
    this.#run = run;
    this.#repository = repository;
    this.#identity = identity;
    this.#pool = pool;
  }

  /** One file, verified, to `path`; tried once: for patience there is the foreground. */
  async load(name: WalFileName, path: string, asked: boolean): Promise<"loaded" | "absent"> {
    const { signal } = this.#run.io;
    let sealed: Uint8Array;
    try {
      sealed = await getSealedWal(this.#repository, this.#identity, name.name, { signal });
    } catch (error) {
      if (!isPgarkError(error, "not-found")) throw error;
      // An unmounted repository answers "no such file" to everything: see fetchWal.
      if (asked) await this.#repository.identityRecord(this.#identity, { signal });
      return "absent";
    }
    const { encrypted, secretKeys } = this.#repository;
    await this.#pool.openToFile(sealed, path, {
      name,
      identity: this.#identity,
      encrypted,
      identities: secretKeys,
      signal,
    });
    return "loaded";
  }

  /** Whether there is a `.partial` that may stand in for a segment; the foreground then decides, and says so. */
  async hasPartial(name: WalFileName): Promise<boolean> {
    const { settings, io } = this.#run;
    if (!settings.values.partial && !isStandby(io.cwd)) return false;
    const { cluster, encrypted, store } = this.#repository;
    try {
      await store.head(walKey(cluster, this.#identity, `${name.name}.partial`, encrypted), { signal: io.signal });
      return true;
    } catch (error) {
      if (isPgarkError(error, "not-found")) return false;
      throw error;
    }
  }
}
