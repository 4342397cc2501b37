import { basename } from "node:path";
import { PgarkError } from "../../errors.ts";
import { pushAhead } from "../../archive/push-ahead.ts";
import { readClusterIdentity } from "../../postgres/control-file.ts";
import { parseWalFileName } from "../../postgres/wal-file-name.ts";
import { putSealedWal, walRecipients } from "../../repository/wal-object.ts";
import type { Repository } from "../../repository/repository.ts";
import { WalWorkerPool } from "../../repository/worker/wal-worker-pool.ts";
import { SpoolSession } from "../../spool/session.ts";
import { sessionOf, watchForChanges } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import { formatError } from "../print-error.ts";
import { PUSH_ATTEMPTS, retryTransient } from "../wal-retry.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark wal-pusher`: the background process that archives ahead of archive_command. */
export async function main(run: CommandRun): Promise<number> {
  const { io, log, settings } = run;
  const options = sessionOf(run, "push");
  if (options === undefined) return EXIT.ok;
  const unchanged = await watchForChanges(run);
  const session = await SpoolSession.enter(options);
  if (!(await session.takeOver(io.now()))) return EXIT.ok;
  const jobs = settings.values.jobs ?? defaultJobs(io.processors);
  const pool = new WalWorkerPool(jobs);
  try {
    log.info("began to archive ahead", { pid: process.pid, jobs });
    const end = await withRepository(run, { keys: "none" }, (repository) =>
      pushAhead({
        session,
        pgdata: options.pgdata,
        store: (path) => retryTransient(run, PUSH_ATTEMPTS, () => storeFile(run, repository, pool, path)),
        // Two for each worker: while one is compressed, the other is on its way to the store.
        inFlight: jobs * 2,
        lingerMs: settings.values.linger,
        describe: (error) =>
          formatError(error, EXIT.failed, { json: settings.values.json, stack: false, paint: (_style, text) => text }),
        unchanged,
        now: io.now,
        log,
        signal: io.signal,
      }),
    );
    log.info(`ended: ${end}`);
    return EXIT.ok;
  } finally {
    await session.leave();
    await pool.close();
  }
}

async function storeFile(run: CommandRun, repository: Repository, pool: WalWorkerPool, path: string): Promise<void> {
  const { io, settings } = run;
  const name = parseWalFileName(basename(path));
  if (name === undefined) {
    throw new PgarkError("usage", "not the name of a WAL file", { operation: "push", object: path });
  }
  const sealed = await pool.sealFile(path, {
    name,
    recipientSets: [walRecipients(repository, name.name)],
    level: settings.values["compress-level"],
    writer: io.hostName,
    now: io.now(),
    signal: io.signal,
  });
  const identity = sealed.identity ?? readClusterIdentity(io.cwd);
  // Not once for all: a repository that was unmounted must not get a new beginning on the disk below.
  await repository.identityRecord(identity, { signal: io.signal });
  const [body] = sealed.bodies;
  if (body === undefined) throw new PgarkError("corrupt", "nothing was sealed", { operation: "push", object: path });
  await putSealedWal(repository, {
    identity,
    name: name.name,
    sealed: body,
    sha256: sealed.sha256,
    host: io.hostName,
    signal: io.signal,
  });
}
