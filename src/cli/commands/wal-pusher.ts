import { existsSync } from "node:fs";
import { join } from "node:path";
import { KeepUp } from "../../archive/keep-up.ts";
import { pushAhead } from "../../archive/push-ahead.ts";
import type { PushAheadEnd } from "../../archive/push-ahead.ts";
import { pushWal } from "../../archive/push-wal.ts";
import type { Behind } from "../../archive/store-everywhere.ts";
import { isPgarkError } from "../../errors.ts";
import { readClusterIdentity } from "../../postgres/control-file.ts";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import { retriesByItself } from "../../storage/open-store.ts";
import type { RepositoryMember } from "../../repository/members.ts";
import { WalWorkerPool } from "../../repository/worker/wal-worker-pool.ts";
import { SpoolSession } from "../../spool/session.ts";
import { sessionOf, watchForChanges } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import { formatError } from "../print-error.ts";
import { quorumOf, repositoriesOf } from "../settings.ts";
import { PUSH_ATTEMPTS, retryTransient } from "../wal-retry.ts";
import { withMembers } from "../with-repository.ts";

/** `pgark wal-pusher`: the background process that archives ahead of archive_command. */
export async function main(run: CommandRun): Promise<number> {
  const { io, log } = run;
  const options = sessionOf(run, "push");
  if (options === undefined) return EXIT.ok;
  const unchanged = await watchForChanges(run);
  const session = await SpoolSession.enter(options, io.now());
  if (session === undefined) return EXIT.ok;
  const jobs = run.settings.values.jobs ?? defaultJobs(io.processors);
  const pool = new WalWorkerPool(jobs);
  try {
    log.info("began to archive ahead", { pid: process.pid, jobs });
    const { pgdata } = options;
    const pusher: Pusher = { run, pool, jobs, session, pgdata, identity: readClusterIdentity(pgdata), unchanged };
    log.info(`ended: ${await withMembers(run, { keys: "none" }, (members) => archiveAhead(pusher, members))}`);
    return EXIT.ok;
  } finally {
    await session.leave();
    await pool.close();
  }
}

interface Pusher {
  readonly run: CommandRun;
  readonly pool: WalWorkerPool;
  readonly jobs: number;
  readonly session: SpoolSession;
  readonly pgdata: string;
  readonly identity: ClusterIdentity;
  readonly unchanged: () => Promise<boolean>;
}

async function archiveAhead(pusher: Pusher, members: readonly RepositoryMember[]): Promise<PushAheadEnd> {
  const { run, session, pgdata, identity, unchanged } = pusher;
  const { io, log, settings } = run;
  const quorum = quorumOf(settings);
  const keepUp = new KeepUp({
    members,
    identity,
    host: io.hostName,
    storeFromDisk: (member, name, signal) => storeFromDisk(pusher, member, name, signal),
    now: io.now,
    sleep: io.sleep,
    log,
  });
  const ended = new AbortController();
  const signal = AbortSignal.any([io.signal, ended.signal]);
  const keeping = keepUp.run(signal);
  const onBehind = (behind: Behind): void => keepUp.behind(behind);
  try {
    return await pushAhead({
      session,
      pgdata,
      store: async (path) => {
        // Found in a repository after the others had acknowledged a file: PostgreSQL's log is to tell of it.
        keepUp.throwConflict();
        await store(pusher, path, { members, quorum, onBehind, signal });
      },
      inFlight: inFlight(pusher),
      lingerMs: settings.values.linger,
      busy: () => keepUp.busy,
      backlogWarning: settings.values["backlog-warning"],
      describe: (error) =>
        formatError(error, EXIT.failed, { json: settings.values.json, stack: false, paint: (_style, text) => text }),
      unchanged,
      now: io.now,
      log,
      signal: io.signal,
    });
  } finally {
    ended.abort();
    await keeping;
  }
}

/**
 * Two for each worker: while one is compressed, the other is on its way to the store. Over a network it is on its way for
 * longer, mostly waiting.
 */
function inFlight({ jobs, run }: Pusher): number {
  return jobs * (repositoriesOf(run.settings).some(retriesByItself) ? 4 : 2);
}

/** Brings a file to one repository that lags; false when the data directory does not have it any more. */
async function storeFromDisk(
  pusher: Pusher,
  member: RepositoryMember,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const path = join(pusher.pgdata, "pg_wal", name);
  if (!existsSync(path)) return false;
  try {
    await store(pusher, path, { members: [member], quorum: 1, onBehind: () => undefined, signal });
    return true;
  } catch (error) {
    // Removed, or used for other WAL, while it was read.
    if (!existsSync(path) || isPgarkError(error, "corrupt")) return false;
    throw error;
  }
}

interface Aim {
  readonly members: readonly RepositoryMember[];
  readonly quorum: number;
  readonly onBehind: (behind: Behind) => void;
  readonly signal: AbortSignal;
}

async function store(pusher: Pusher, path: string, { members, ...aim }: Aim): Promise<void> {
  const { run, pool, pgdata, identity } = pusher;
  const { io, log, settings } = run;
  await retryTransient(run, PUSH_ATTEMPTS, () =>
    pushWal(members, {
      ...aim,
      path,
      pgdata,
      graceMs: 0,
      // Those under way, and some more: memory is bounded, however slow a repository is.
      mostPending: inFlight(pusher) + 4,
      host: io.hostName,
      expected: identity,
      level: settings.values["compress-level"],
      now: io.now(),
      seal: (file, options) => pool.sealFile(file, options),
      log,
    }),
  );
}
