import { basename } from "node:path";
import { listReady } from "../../archive/archive-status.ts";
import { backlogWarning } from "../../archive/backlog.ts";
import { pushWal } from "../../archive/push-wal.ts";
import type { StoredWal } from "../../repository/wal-object.ts";
import { sessionOf, startBackground } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { walDataDirectory } from "../data-directory.ts";
import { EXIT } from "../exit-codes.ts";
import { PUSH_ATTEMPTS, retryTransient } from "../wal-retry.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark wal-push %p`: archives one WAL file. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, log } = run;
  const [path = ""] = run.args;
  const pushed = await push(run, path).catch(async (error: unknown) => {
    await warnOfBacklog(run);
    throw error;
  });
  // The file is stored, whatever becomes of this.
  await startPusher(run, path).catch((error: unknown) => log.warn("could not look for more to archive", { error }));
  if (settings.values.json) {
    await run.print({
      json: () => ({ outcome: pushed.outcome, key: pushed.key, storedBytes: pushed.storedBytes }),
      text: () => "",
    });
  }
  return EXIT.ok;
}

async function push(run: CommandRun, path: string): Promise<StoredWal> {
  const { settings, io, log } = run;
  return retryTransient(run, PUSH_ATTEMPTS, () =>
    withRepository(run, { keys: "none" }, (repository) =>
      pushWal(repository, {
        path,
        pgdata: walDataDirectory(settings, io),
        host: io.hostName,
        level: settings.values["compress-level"],
        now: io.now(),
        signal: io.signal,
        log,
      }),
    ),
  );
}

/** Archiving that fails fills the disk of pg_wal, and PostgreSQL's log is where that is looked for. */
async function warnOfBacklog(run: CommandRun): Promise<void> {
  const threshold = run.settings.values["backlog-warning"];
  const ready = await listReady(walDataDirectory(run.settings, run.io)).catch(() => []);
  if (threshold > 0 && ready.length >= threshold) run.log.warn(backlogWarning(ready.length));
}

/** A backlog is better worked off by a process that stays. */
async function startPusher(run: CommandRun, path: string): Promise<void> {
  const session = sessionOf(run, "push");
  if (session === undefined) return;
  const ready = await listReady(session.pgdata);
  if (ready.some((name) => name !== basename(path))) await startBackground(run, session, ["wal-pusher"]);
}
