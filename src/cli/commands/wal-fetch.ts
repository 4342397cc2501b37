import { readClusterIdentity } from "../../postgres/control-file.ts";
import type { RepositoryMember } from "../../repository/members.ts";
import { fromFirst } from "../../restore/fetch-first.ts";
import { fetchWal } from "../../restore/fetch-wal.ts";
import { sessionOf, startBackground } from "../background.ts";
import type { CommandRun } from "../command.ts";
import { walDataDirectory } from "../data-directory.ts";
import { WAL_FETCH_EXIT } from "../exit-codes.ts";
import { isStandby } from "../standby.ts";
import { FETCH_ATTEMPTS, retryTransient } from "../wal-retry.ts";
import { withMembers } from "../with-repository.ts";

/** `pgark wal-fetch %f "%p"`: brings one WAL file back. Only a positive "there is none" is answered with 1. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, log } = run;
  const [name = "", destination = ""] = run.args;
  const outcome = await retryTransient(run, FETCH_ATTEMPTS, () =>
    withMembers(run, { keys: "all" }, (members) => fetchAnywhere(run, members, name, destination)),
  );
  await startPrefetcher(run, name, destination).catch((error: unknown) =>
    log.warn("could not begin to fetch ahead", { error }),
  );
  if (settings.values.json) await run.print({ json: () => ({ outcome, name }), text: () => "" });
  return outcome === "absent" ? WAL_FETCH_EXIT.absent : WAL_FETCH_EXIT.delivered;
}

/** The whole segment from any repository, before its `.partial` from any. */
async function fetchAnywhere(
  { settings, io, log }: CommandRun,
  members: readonly RepositoryMember[],
  name: string,
  destination: string,
): ReturnType<typeof fetchWal> {
  const pgdata = walDataDirectory(settings, io, destination);
  const identity = readClusterIdentity(pgdata);
  const fetch = (partial: boolean) =>
    fromFirst(
      members,
      (repository) => fetchWal(repository, { name, destination, identity, partial, signal: io.signal, log }),
      log,
    );
  const whole = await fetch(false);
  return whole === "absent" && (settings.values.partial || isStandby(pgdata)) ? fetch(true) : whole;
}

/** Where recovery has begun to ask, it will ask for more. Not for pg_rewind, which has no server and reads other names. */
async function startPrefetcher(run: CommandRun, name: string, destination: string): Promise<void> {
  if (run.settings.values.prefetch === 0 || !destination.startsWith("pg_wal/RECOVERY")) return;
  const session = sessionOf(run, "fetch");
  if (session !== undefined) await startBackground(run, session, ["wal-prefetcher", name]);
}
