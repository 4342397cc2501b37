import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { backupRecordKey, backupsFolder, isBackupLabel } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { chooseIdentities } from "./choose-life.ts";
import type { CommandRun } from "./command.ts";
import { nearest } from "./nearest.ts";

/** The life that the complete backup of this label belongs to. Throws `not-found`, with the label that may have been meant. */
export async function findBackup(
  run: CommandRun,
  repository: Repository,
  label: string,
  operation: string,
): Promise<ClusterIdentity> {
  const identities = await chooseIdentities(run, repository);
  for (const identity of isBackupLabel(label) ? identities : []) {
    if (await isThere(run, repository, identity, label)) return identity;
  }
  const guess = nearest(label, await allLabels(run, repository, identities));
  const isIncomplete = guess === label;
  throw new PgarkError("not-found", "there is no complete backup of this name", {
    operation,
    object: label,
    hint: isIncomplete
      ? "one was begun; if nobody is taking it any more, prune clears it away after a while"
      : `${guess === undefined ? "" : `did you mean ${guess}? `}pgark list shows the backups there are`,
  });
}

async function isThere(run: CommandRun, { store, cluster }: Repository, identity: ClusterIdentity, label: string) {
  try {
    await store.head(backupRecordKey(cluster, identity, label), { signal: run.io.signal });
    return true;
  } catch (error) {
    if (isPgarkError(error, "not-found")) return false;
    throw error;
  }
}

async function allLabels(run: CommandRun, { store, cluster }: Repository, identities: readonly ClusterIdentity[]) {
  const labels: string[] = [];
  for (const identity of identities) {
    const folder = backupsFolder(cluster, identity);
    const folders = await store.listFolders(folder, { signal: run.io.signal });
    labels.push(...folders.map((name) => name.slice(folder.length, -1)));
  }
  return labels;
}
