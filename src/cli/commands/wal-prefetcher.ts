import { isPgarkError, PgarkError } from "../../errors.ts";
import { readClusterIdentity } from "../../postgres/control-file.ts";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import type { WalFileName } from "../../postgres/wal-file-name.ts";
import type { IdentityRecord } from "../../repository/cluster-record.ts";
import type { RepositoryMember } from "../../repository/members.ts";
import { fromFirst } from "../../restore/fetch-first.ts";
import { walKey } from "../../repository/layout.ts";
import type { Repository } from "../../repository/repository.ts";
import { getSealedWal } from "../../repository/wal-object.ts";
import { WalWorkerPool } from "../../repository/worker/wal-worker-pool.ts";
import { fetchAhead } from "../../restore/fetch-ahead.ts";
import { retriesByItself } from "../../storage/open-store.ts";
import { SpoolSession } from "../../spool/session.ts";
import { sessionOf, watchForChanges } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import { repositoriesOf } from "../settings.ts";
import { isStandby } from "../standby.ts";
import { withMembers } from "../with-repository.ts";

/** `pgark wal-prefetcher <after>`: the background process that fetches ahead of restore_command. */
export async function main(run: CommandRun): Promise<number> {
  const { io, log, settings } = run;
  const [after = ""] = run.args;
  const options = sessionOf(run, "fetch");
  if (options === undefined) return EXIT.ok;
  const unchanged = await watchForChanges(run);
  const session = await SpoolSession.enter(options, io.now());
  if (session === undefined) return EXIT.ok;
  const jobs = settings.values.jobs ?? defaultJobs(io.processors);
  const pool = new WalWorkerPool(jobs);
  const identity = readClusterIdentity(io.cwd);
  try {
    log.info("began to fetch ahead", { pid: process.pid, jobs, after });
    const end = await withMembers(run, { keys: "all" }, async (members) => {
      const fetcher = new Fetcher(run, members, identity, pool);
      return fetchAhead({
        session,
        load: (name, path, asked) => fetcher.load(name, path, asked),
        hasStandIn: (name) => fetcher.hasPartial(name),
        segmentSize: await fetcher.segmentSize(),
        most: settings.values.prefetch,
        // Over a network most of them wait for their first byte.
        inFlight: jobs * (repositoriesOf(settings).some(retriesByItself) ? 4 : 2),
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

/** Fetches from the first repository that has a file; once: for patience there is the foreground. */
class Fetcher {
  readonly #run: CommandRun;
  readonly #members: readonly RepositoryMember[];
  readonly #identity: ClusterIdentity;
  readonly #pool: WalWorkerPool;

  constructor(run: CommandRun, members: readonly RepositoryMember[], identity: ClusterIdentity, pool: WalWorkerPool) {
    this.#run = run;
    this.#members = members;
    this.#identity = identity;
    this.#pool = pool;
  }

  /** Bytes of a WAL segment, as the first repository that answers has it in its record. */
  async segmentSize(): Promise<number> {
    const record = await fromFirst(this.#members, (repository) => this.#record(repository), this.#run.log);
    if (record === "absent")
      throw new PgarkError("no-cluster", "no repository knows this cluster", { operation: "fetch" });
    return record.walSegmentSize;
  }

  /** One file, verified, to `path`. */
  async load(name: WalFileName, path: string, asked: boolean): Promise<"loaded" | "absent"> {
    return fromFirst(this.#members, (repository) => this.#loadFrom(repository, name, path, asked), this.#run.log);
  }

  /** Whether there is a `.partial` that may stand in for a segment; the foreground then decides, and says so. */
  async hasPartial(name: WalFileName): Promise<boolean> {
    const { settings, io, log } = this.#run;
    if (!settings.values.partial && !isStandby(io.cwd)) return false;
    const look = async ({ cluster, encrypted, store }: Repository): Promise<"there" | "absent"> => {
      try {
        await store.head(walKey(cluster, this.#identity, `${name.name}.partial`, encrypted), { signal: io.signal });
        return "there";
      } catch (error) {
        if (isPgarkError(error, "not-found")) return "absent";
        throw error;
      }
    };
    return (await fromFirst(this.#members, look, log)) === "there";
  }

  async #loadFrom(
    repository: Repository,
    name: WalFileName,
    path: string,
    asked: boolean,
  ): Promise<"loaded" | "absent"> {
    const { signal } = this.#run.io;
    let sealed: Uint8Array;
    try {
      sealed = await getSealedWal(repository, this.#identity, name.name, { signal });
    } catch (error) {
      if (!isPgarkError(error, "not-found")) throw error;
      // An unmounted repository answers "no such file" to everything: see fetchWal.
      if (asked) await this.#record(repository);
      return "absent";
    }
    const { encrypted, secretKeys } = repository;
    await this.#pool.openToFile(sealed, path, {
      name,
      identity: this.#identity,
      encrypted,
      identities: secretKeys,
      signal,
    });
    return "loaded";
  }

  #record(repository: Repository): Promise<IdentityRecord> {
    return repository.identityRecord(this.#identity, { signal: this.#run.io.signal });
  }
}
