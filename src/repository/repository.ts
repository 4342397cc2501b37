import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatIdentity, parseIdentity } from "../postgres/cluster-identity.ts";
import type { ObjectStore, SignalOption } from "../storage/object-store.ts";
import type { ClusterRecord, IdentityRecord } from "./cluster-record.ts";
import { readClusterRecord, readIdentityRecord } from "./cluster-record.ts";
import { checkRecipient } from "./keys.ts";
import { checkClusterName } from "./layout.ts";

/** A cluster in a store, opened: its record has been read and understood. */
export interface Repository {
  readonly store: ObjectStore;
  readonly cluster: string;
  readonly encrypted: boolean;
  /** public keys that everything is encrypted to; none when not encrypted */
  readonly recipients: readonly string[];
  /** those, and the hosts' own keys: for manifests and timeline histories */
  readonly metadataRecipients: readonly string[];
  /** secret keys at hand; may be none on a host that only writes */
  readonly secretKeys: readonly string[];
  /** the lives of the cluster that the repository knows */
  identities(options?: SignalOption): Promise<readonly ClusterIdentity[]>;
  /** the record of one life; `identity-mismatch` when it is not one of this cluster's */
  identityRecord(identity: ClusterIdentity, options?: SignalOption): Promise<IdentityRecord>;
}

export interface OpenRepositoryOptions extends SignalOption {
  readonly store: ObjectStore;
  readonly cluster: string;
  /** age secret keys, if any */
  readonly identities: readonly string[];
  /** public keys that the configuration pins; when given, the repository must say the same */
  readonly recipients: readonly string[];
}

/** Reads the cluster's record and checks it against what the configuration demands. */
export async function openRepository(options: OpenRepositoryOptions): Promise<Repository> {
  const { store, cluster, signal } = options;
  checkClusterName(cluster);
  const record = await readClusterRecord(store, cluster, { signal });
  await checkPinnedRecipients(record, options.recipients, cluster);
  return {
    store,
    cluster,
    encrypted: record.recipients.length > 0,
    recipients: record.recipients,
    metadataRecipients: [...new Set([...record.recipients, ...record.hostRecipients])],
    secretKeys: options.identities,
    identities: (signalOption) => listIdentities(store, cluster, signalOption ?? {}),
    identityRecord: (identity, signalOption) => findIdentity(store, cluster, identity, signalOption ?? {}),
  };
}

/** Somebody who can write to the store could put a key of their own into `cluster.json`; pinned keys rule that out. */
async function checkPinnedRecipients(record: ClusterRecord, pinned: readonly string[], cluster: string): Promise<void> {
  for (const recipient of pinned) await checkRecipient(recipient);
  if (pinned.length === 0) return;
  if (pinned.length === record.recipients.length && pinned.every((key) => record.recipients.includes(key))) return;
  throw new PgarkError("refused", "the repository encrypts to other keys than the configuration names", {
    operation: "open repository",
    object: cluster,
    hint: "compare `recipients` in the configuration with cluster.json; if nobody of yours changed it, the store was tampered with",
  });
}

async function listIdentities(
  store: ObjectStore,
  cluster: string,
  options: SignalOption,
): Promise<readonly ClusterIdentity[]> {
  const folders = await store.listFolders(`${cluster}/`, options);
  return folders
    .map((folder) => folder.slice(cluster.length + 1, -1))
    .filter((name) => /^\d{2}-\d+$/.test(name))
    .map(parseIdentity);
}

async function findIdentity(
  store: ObjectStore,
  cluster: string,
  identity: ClusterIdentity,
  options: SignalOption,
): Promise<IdentityRecord> {
  try {
    return await readIdentityRecord(store, cluster, identity, options);
  } catch (error) {
    if (!isPgarkError(error, "not-found")) throw error;
    const known = (await listIdentities(store, cluster, options)).map(formatIdentity);
    throw new PgarkError(
      "identity-mismatch",
      `PostgreSQL ${identity.majorVersion} with system identifier ${identity.systemIdentifier} is not a life of cluster ` +
        `"${cluster}", which knows ${known.length === 0 ? "none" : known.join(", ")}`,
      {
        operation: "identify cluster",
        object: formatIdentity(identity),
        cause: error,
        hint: "is this the right server and repository? after pg_upgrade, run `pgark init` again to begin the next life",
      },
    );
  }
}
