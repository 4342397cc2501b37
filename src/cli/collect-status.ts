import { realpath } from "node:fs/promises";
import { listReady } from "../archive/archive-status.ts";
import { repositoryLag } from "../archive/repository-lag.ts";
import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatIdentity, sameIdentity } from "../postgres/cluster-identity.ts";
import type { Session } from "../postgres/connection.ts";
import { readClusterIdentity } from "../postgres/control-file.ts";
import { readPostmaster } from "../postgres/postmaster-file.ts";
import type { Repository } from "../repository/repository.ts";
import { readPushSpool } from "../spool/read-spool.ts";
import { spoolFolder } from "../spool/spool-folder.ts";
import { readBacklogHere, readBacklogThere } from "../status/read-backlog.ts";
import { readServer } from "../status/read-server.ts";
import { readTakenName } from "../status/read-taken-name.ts";
import type {
  ArchiverFacts,
  Asked,
  BacklogFacts,
  LifeFacts,
  RepositoryFacts,
  ServerFacts,
  StatusFacts,
} from "../status/status-facts.ts";
import { askSession, withServer } from "./ask-server.ts";
import { chooseIdentities } from "./choose-life.ts";
import type { CommandRun } from "./command.ts";
import { collectLife } from "./collect-life.ts";
import type { CollectOptions } from "./collect-life.ts";
import { configuredDataDirectory } from "./data-directory.ts";
import { repositoriesOf } from "./settings.ts";
import { withMembers, withRepository } from "./with-repository.ts";

/**
 * Finds out all that a status is made from: first from the repository, without which there is none, then from the server and
 * its data directory as far as they can be asked. In this order, for WAL that arrives meanwhile must not look ahead of the server.
 */
export async function collectStatus(run: CommandRun, options: CollectOptions): Promise<StatusFacts> {
  return withRepository(run, { keys: "all" }, async (repository) => {
    const lives: LifeFacts[] = [];
    for (const identity of await chooseIdentities(run, repository)) {
      lives.push(await collectLife(run, repository, identity, options));
    }
    return withServer(run, async (session) => {
      const pgdata = readableDataDirectory(run);
      const server = await askSession(session, true, (asked) => readServer(asked, run.io.now));
      const present = server.known ? server.value.identity : pgdata?.identity;
      return {
        cluster: repository.cluster,
        repository: repository.store.url,
        encrypted: repository.encrypted,
        now: run.io.now(),
        lives: orderByPresence(lives, present),
        server,
        backlog: await readBacklog(run, pgdata, lives, session),
        taken: await readTaken(run, repository, server, pgdata?.path, session),
        archiver: pgdata === undefined ? undefined : await readArchiver(run, pgdata.path),
        repositories: await compareRepositories(run, present ?? lives.at(-1)?.catalog.identity),
      };
    });
  });
}

/** What the spool tells of the background process that archives ahead, where it can be seen. */
async function readArchiver({ settings, io }: CommandRun, directory: string): Promise<ArchiverFacts | undefined> {
  const { spool } = settings.values;
  const pgdata = await realpath(directory);
  const postmaster = readPostmaster(pgdata);
  if (postmaster === undefined || spool === "off") return undefined;
  const facts = await readPushSpool(spoolFolder(spool, pgdata), postmaster, io.now());
  if (facts === undefined) return undefined;
  const ready = new Set(await listReady(pgdata));
  const ahead = facts.acknowledged.filter((name) => ready.has(name)).length;
  return { running: facts.running, ahead, failure: facts.failure };
}

/** How several repositories stand beside each other. */
async function compareRepositories(
  run: CommandRun,
  identity: ClusterIdentity | undefined,
): Promise<readonly RepositoryFacts[] | undefined> {
  if (identity === undefined || repositoriesOf(run.settings).length < 2) return undefined;
  const { io } = run;
  const lags = await withMembers(run, { keys: "none" }, (members) =>
    repositoryLag(members, identity, { now: io.now(), signal: io.signal }),
  );
  return lags.map((lag) => {
    if (lag.reachable) {
      return {
        url: lag.url,
        missingFiles: lag.lacking,
        firstMissing: lag.first,
        lastMissing: lag.last,
        problem: undefined,
      };
    }
    const problem = lag.error instanceof Error ? lag.error.message : String(lag.error);
    return { url: lag.url, missingFiles: 0, firstMissing: undefined, lastMissing: undefined, problem };
  });
}

/** By when pgark was told of them; the one that the server lives comes last, whatever else is known. */
function orderByPresence(lives: readonly LifeFacts[], present: ClusterIdentity | undefined): readonly LifeFacts[] {
  const isPresent = ({ catalog }: LifeFacts): number =>
    present !== undefined && sameIdentity(catalog.identity, present) ? 1 : 0;
  return lives.toSorted((a, b) => isPresent(a) - isPresent(b) || a.created.getTime() - b.created.getTime());
}

interface DataDirectory {
  readonly path: string;
  readonly identity: ClusterIdentity;
}

/** The data directory that the settings name, if it can be read here; one that is named by a flag must be. */
function readableDataDirectory({ settings, io }: CommandRun): DataDirectory | undefined {
  const path = configuredDataDirectory(settings, io);
  if (path === undefined || settings.values["store-only"]) return undefined;
  try {
    return { path, identity: readClusterIdentity(path) };
  } catch (error) {
    if (settings.origins.get("pgdata") === "flag" || !isPgarkError(error)) throw error;
    return undefined;
  }
}

async function readBacklog(
  run: CommandRun,
  pgdata: DataDirectory | undefined,
  lives: readonly LifeFacts[],
  session: Asked<Session>,
): Promise<Asked<BacklogFacts>> {
  if (pgdata !== undefined) {
    if (!lives.some(({ catalog }) => sameIdentity(catalog.identity, pgdata.identity))) return notOurs(pgdata);
    try {
      return { known: true, value: await readBacklogHere(pgdata.path) };
    } catch (error) {
      if (!isPgarkError(error, "io", "denied")) throw error;
    }
  }
  const asked = await askSession(session, false, (there) => readBacklogThere(there, run.io.now));
  if (asked.known || !session.known) return asked;
  const hint = "GRANT pg_monitor to the role, or name the data directory with --pgdata where it can be read";
  return { ...asked, why: "how many files wait to be archived is not known", hint };
}

/** Another cluster's backlog says nothing of this one. */
function notOurs({ path, identity }: DataDirectory): Asked<BacklogFacts> {
  return {
    known: false,
    why: `the data directory ${path} is of ${formatIdentity(identity)}, which is no life of this cluster`,
    hint: "name the cluster's own with --pgdata; after pg_upgrade run pgark init",
    expected: true,
  };
}

/** Looked at only when PostgreSQL fails to archive something. */
async function readTaken(
  run: CommandRun,
  repository: Repository,
  server: Asked<ServerFacts>,
  pgdata: string | undefined,
  session: Asked<Session>,
): Promise<StatusFacts["taken"]> {
  const failed = server.known && server.value.archiver.failing ? server.value.archiver.lastFailed : undefined;
  if (!server.known || failed === undefined) return undefined;
  return readTakenName(repository, {
    identity: server.value.identity,
    name: failed.name,
    pgdata,
    session: session.known ? session.value : undefined,
    signal: run.io.signal,
  });
}
