import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { acknowledgedFolder, identityFolder, verifyFolder } from "../repository/layout.ts";
import { readRecord } from "../repository/records.ts";
import type { Repository } from "../repository/repository.ts";
import { isVerifyRecordName } from "../repository/verify-record.ts";
import type { ObjectStore, SignalOption } from "../storage/object-store.ts";
import type { Findings } from "./fault.ts";
import { foreign } from "./load-life.ts";

/** What may lie in the folder of a cluster, and in that of one of its lives. A folder's name ends in a slash. */
const ofCluster = [/^cluster\.json$/, /^lease\/$/, /^\d{2}-\d+\/$/];
const ofLife = [/^identity\.json$/, /^(wal|backups|verify|acknowledged)\/$/];

/** Looks for what does not belong directly in a cluster's folder. */
export async function findForeignInCluster(
  repository: Repository,
  findings: Findings,
  options: SignalOption,
): Promise<void> {
  await findForeign(repository.store, `${repository.cluster}/`, ofCluster, findings, options);
}

/** Looks for what does not belong in the folder of a life, beside its WAL and its backups. */
export async function findForeignInLife(
  repository: Repository,
  identity: ClusterIdentity,
  findings: Findings,
  options: SignalOption,
): Promise<void> {
  const folder = identityFolder(repository.cluster, identity);
  await findForeign(repository.store, folder, ofLife, findings, options);
  for await (const { key } of repository.store.list(verifyFolder(repository.cluster, identity), options)) {
    if (!isVerifyRecordName(key.slice(key.lastIndexOf("/") + 1))) foreign(findings, key);
  }
  for await (const { key } of repository.store.list(acknowledgedFolder(repository.cluster, identity), options)) {
    await readRecord(repository.store, key, options).catch((error: unknown) => findings.error(error, key, []));
  }
}

async function findForeign(
  store: ObjectStore,
  folder: string,
  known: readonly RegExp[],
  findings: Findings,
  options: SignalOption,
): Promise<void> {
  for await (const entry of entriesOf(store, folder, options)) {
    const name = entry.slice(folder.length);
    if (!known.some((pattern) => pattern.test(name))) foreign(findings, entry);
  }
}

/** Objects and folders right below a folder: a list goes through all objects, so each folder is jumped over. */
async function* entriesOf(store: ObjectStore, folder: string, options: SignalOption): AsyncGenerator<string> {
  for (let after: string | undefined = folder; after !== undefined;) {
    let next: string | undefined;
    for await (const { key } of store.list(folder, { ...options, startAfter: after })) {
      const slash = key.indexOf("/", folder.length);
      yield slash < 0 ? key : key.slice(0, slash + 1);
      if (slash < 0) continue;
      // "0" follows "/": this comes after everything in the folder.
      next = `${key.slice(0, slash)}0`;
      break;
    }
    after = next;
  }
}
