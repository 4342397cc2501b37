import { open } from "node:fs/promises";
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
      const segmentSize = await segmentSizeOf(run, members, identity);
      const fetcher = new Fetcher({ run, members, identity, pool, segmentSize });
      return fetchAhead({
        session,
        load: (name, path, asked) => fetcher.load(name, path, asked),
        hasStandIn: (name) => fetcher.hasPartial(name),
        segmentSize,
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

/** Bytes of a WAL segment, as the first repository that answers has it in its record. */
async function segmentSizeOf(
  { io, log }: CommandRun,
  members: readonly RepositoryMember[],
  identity: ClusterIdentity,
): Promise<number> {
  const look = (repository: Repository): Promise<IdentityRecord> =>
    repository.identityRecord(identity, { signal: io.signal });
  const record = await fromFirst(members, look, log);
  if (record === "absent")
    throw new PgarkError("no-cluster", "no repository knows this cluster", { operation: "fetch" });
  return record.walSegmentSize;
}

interface FetcherOptions {
  readonly run: CommandRun;
  readonly members: readonly RepositoryMember[];
  readonly identity: ClusterIdentity;
  readonly pool: WalWorkerPool;
  /** bytes */
  readonly segmentSize: number;
}

/** Fetches from the first repository that has a file; once: for patience there is the foreground. */
class Fetcher {
  readonly #run: CommandRun;
  readonly #members: readonly RepositoryMember[];
  readonly #identity: ClusterIdentity;
  readonly #pool: WalWorkerPool;
  readonly #segmentSize: number;

  constructor({ run, members, identity, pool, segmentSize }: FetcherOptions) {
    this.#run = run;
    this.#members = members;
    this.#identity = identity;
    this.#pool = pool;
    this.#segmentSize = segmentSize;
  }

  /** One file, verified, to `path`. */
  async load(name: WalFileName, path: string, asked: boolean): Promise<"loaded" | "absent"> {
    const loadFrom = (repository: Repository): Promise<"loaded" | "absent"> =>
      this.#loadFrom(repository, name, path, asked);
    const result = await fromFirst(this.#members, loadFrom, this.#run.log);
    // PostgreSQL syncs what it was given before it replays it. It needs not wait for the disk when that was done ahead.
    if (result === "loaded" && !asked) await syncFile(path);
    return result;
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
    const { encrypted, secretKeys } = repository;
    const options = { name, identity: this.#identity, encrypted, identities: secretKeys, signal };
    const load = (into: Uint8Array): Promise<Uint8Array> =>
      getSealedWal(repository, this.#identity, name.name, { signal, into });
    try {
      await this.#pool.loadToFile(this.#segmentSize, load, path, options);
      return "loaded";
    } catch (error) {
      if (!isPgarkError(error, "not-found")) throw error;
      // An unmounted repository answers "no such file" to everything: see fetchWal.
      if (asked) await repository.identityRecord(this.#identity, { signal });
      return "absent";
    }
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}
