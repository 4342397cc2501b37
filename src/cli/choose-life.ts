import { PgarkError } from "../errors.ts";
import { formatIdentity, parseIdentity, sameIdentity } from "../postgres/cluster-identity.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Catalog } from "../repository/catalog.ts";
import { loadCatalog } from "../repository/load-catalog.ts";
import type { Repository } from "../repository/repository.ts";
import type { CommandRun } from "./command.ts";

/** The lives that `--cluster-identity` leaves: one, or all that the repository knows. */
export async function chooseIdentities(run: CommandRun, repository: Repository): Promise<readonly ClusterIdentity[]> {
  const known = await repository.identities({ signal: run.io.signal });
  const wanted = wantedIdentity(run);
  const chosen = wanted === undefined ? known : known.filter((identity) => sameIdentity(identity, wanted));
  if (wanted !== undefined && chosen.length === 0) {
    throw new PgarkError("not-found", "the repository knows no such life of the cluster", {
      operation: "open repository",
      object: formatIdentity(wanted),
      hint: known.length === 0 ? "it knows none" : `it knows ${known.map(formatIdentity).join(", ")}`,
    });
  }
  return chosen;
}

/** The one life of the cluster, or the one that is asked for; with several to choose from, `usage`. */
export async function chooseIdentity(
  run: CommandRun,
  repository: Repository,
  operation: string,
): Promise<ClusterIdentity> {
  const chosen = await chooseIdentities(run, repository);
  const [only] = chosen;
  if (only !== undefined && chosen.length === 1) return only;
  throw new PgarkError("usage", chosen.length === 0 ? "the cluster has no life yet" : "the cluster has several lives", {
    operation,
    object: repository.cluster,
    hint:
      chosen.length === 0
        ? "run pgark init first"
        : `say which one with --cluster-identity: ${chosen.map(formatIdentity).join(", ")}`,
  });
}

/** Their catalogs. */
export async function loadLives(run: CommandRun, repository: Repository): Promise<readonly Catalog[]> {
  const catalogs: Catalog[] = [];
  for (const identity of await chooseIdentities(run, repository))
    catalogs.push(await loadCatalog(repository, identity, { signal: run.io.signal, log: run.log }));
  return orderLives(catalogs);
}

/** The life that a restore is of: the one asked for, else the one with the newest backup. Says which others there are. */
export async function loadLife(run: CommandRun, repository: Repository): Promise<Catalog> {
  const lives = await loadLives(run, repository);
  const chosen = lives.at(-1);
  if (chosen === undefined) {
    throw new PgarkError("not-found", "the cluster has no backups and no WAL", {
      operation: "open repository",
      object: repository.cluster,
      hint: "run pgark init and pgark backup first",
    });
  }
  const others = lives.slice(0, -1).map((catalog) => formatIdentity(catalog.identity));
  if (others.length > 0) {
    run.log.info(
      `the cluster has several lives; taking ${formatIdentity(chosen.identity)}, which has the newest backup. ` +
        `Others, for --cluster-identity: ${others.join(", ")}`,
    );
  }
  return chosen;
}

/** By the stop time of the newest backup, lives without any first; the newest life is the last. */
export function orderLives(catalogs: readonly Catalog[]): readonly Catalog[] {
  const newest = (catalog: Catalog): number => catalog.backups.at(-1)?.stopTime.getTime() ?? -Infinity;
  const order = (a: Catalog, b: Catalog): number => {
    if (newest(a) !== newest(b)) return newest(a) < newest(b) ? -1 : 1;
    return a.identity.majorVersion - b.identity.majorVersion;
  };
  return [...catalogs].sort(order);
}

function wantedIdentity(run: CommandRun): ClusterIdentity | undefined {
  const text = run.settings.values["cluster-identity"];
  if (text === undefined) return undefined;
  try {
    return parseIdentity(text);
  } catch (error) {
    throw new PgarkError("usage", "not an identity of a cluster", {
      operation: "read option",
      object: "--cluster-identity",
      cause: error,
      hint: "write <major version>-<system identifier>, as pgark list prints it",
    });
  }
}
