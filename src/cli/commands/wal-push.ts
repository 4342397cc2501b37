import { basename } from "node:path";
import { listReady } from "../../archive/archive-status.ts";
import { backlogWarning } from "../../archive/backlog.ts";
import { pushWal } from "../../archive/push-wal.ts";
import { sealWalFile } from "../../repository/seal-wal-file.ts";
import type { StoredWal } from "../../repository/wal-object.ts";
import { sessionOf, startBackground } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { walDataDirectory } from "../data-directory.ts";
import { EXIT } from "../exit-codes.ts";
import { PUSH_ATTEMPTS, retryTransient } from "../wal-retry.ts";
import { quorumOf } from "../settings.ts";
import { withMembers } from "../with-repository.ts";

/** `pgark wal-push %p`: archives one WAL file. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, log } = run;
  const [path = ""] = run.args;
  const behind: string[] = [];
  const stored = await push(run, path, behind).catch(async (error: unknown) => {
    await warnOfBacklog(run, path);
    throw error;
  });
  // The file is stored, whatever becomes of this.
  await startPusher(run, path, behind.length > 0).catch((error: unknown) =>
    log.warn("could not look for more to archive", { error }),
  );
  if (settings.values.json) {
    await run.print({
      json: () => ({ ...stored[0], behind }),
      text: () => "",
    });
  }
  return EXIT.ok;
}

/**
 * What one call does by itself; repositories that are slower than the quorum have two seconds more.
 * @param behind gets the URLs of those that do not have the file then
 */
async function push(run: CommandRun, path: string, behind: string[]): Promise<readonly StoredWal[]> {
  const { settings, io, log } = run;
  const quorum = quorumOf(settings);
  return retryTransient(run, PUSH_ATTEMPTS, () =>
    withMembers(run, { keys: "none" }, (members) =>
      pushWal(members, {
        path,
        pgdata: walDataDirectory(settings, io, path),
        quorum,
        graceMs: 2000,
        mostPending: 0,
        onBehind: ({ member, reason }) => {
          behind.push(member.url);
          log.warn(`${member.url} lags behind`, reason === undefined ? {} : { error: reason });
        },
        host: io.hostName,
        level: settings.values["compress-level"],
        now: io.now(),
        seal: sealWalFile,
        signal: io.signal,
        log,
      }),
    ),
  );
}

/** Archiving that fails fills the disk of pg_wal, and PostgreSQL's log is where that is looked for. */
async function warnOfBacklog(run: CommandRun, path: string): Promise<void> {
  const threshold = run.settings.values["backlog-warning"];
  const ready = await listReady(walDataDirectory(run.settings, run.io, path)).catch(() => []);
  if (threshold > 0 && ready.length >= threshold) run.log.warn(backlogWarning(ready.length));
}

/** A backlog is better worked off by a process that stays; so is a repository that lags. */
async function startPusher(run: CommandRun, path: string, lagging: boolean): Promise<void> {
  const session = sessionOf(run, "push");
  if (session === undefined) return;
  const ready = await listReady(session.pgdata);
  if (lagging || ready.some((name) => name !== basename(path))) await startBackground(run, session, ["wal-pusher"]);
}
