import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { ObjectStore, SignalOption } from "../storage/object-store.ts";
import { encodeClusterRecord, encodeIdentityRecord, readClusterRecord, readIdentityRecord } from "./cluster-record.ts";
import { checkRecipient } from "./keys.ts";
import { checkClusterName, clusterKey, identityKey } from "./layout.ts";

export interface InitOptions extends SignalOption {
  readonly store: ObjectStore;
  readonly cluster: string;
  readonly identity: ClusterIdentity;
  readonly walSegmentSize: number;
  /** none: the repository is not encrypted */
  readonly recipients: readonly string[];
  readonly hostRecipients: readonly string[];
  readonly now: Date;
}

export interface InitResult {
  /** the cluster was new */
  readonly created: boolean;
  /** this life of it was new */
  readonly identityCreated: boolean;
  /** the keys that the cluster really has */
  readonly recipients: readonly string[];
}

/**
 * Creates the records of a cluster and of its present life. Again with the same identity is harmless; with another one, as
 * after pg_upgrade, it begins that life. The keys of an existing cluster never change: `refused` when others are asked for.
 */
export async function initRepository(options: InitOptions): Promise<InitResult> {
  const { store, cluster, signal } = options;
  checkClusterName(cluster);
  for (const recipient of [...options.recipients, ...options.hostRecipients]) await checkRecipient(recipient);
  const created = await createOnce(
    store,
    clusterKey(cluster),
    encodeClusterRecord(cluster, { ...options, created: options.now }),
    { signal },
  );
  const record = await readClusterRecord(store, cluster, { signal });
  if (options.recipients.length > 0 && options.recipients.join() !== record.recipients.join()) {
    throw new PgarkError("refused", "the cluster exists already, with other keys", {
      operation: "init",
      object: cluster,
      hint: "leave out --encrypt and --recipients to add a life to it, or choose another cluster name",
    });
  }
  const identityCreated = await createOnce(
    store,
    identityKey(cluster, options.identity),
    encodeIdentityRecord({ ...options, created: options.now }),
    { signal },
  );
  await readIdentityRecord(store, cluster, options.identity, { signal });
  return { created, identityCreated, recipients: record.recipients };
}

async function createOnce(store: ObjectStore, key: string, body: Uint8Array, options: SignalOption): Promise<boolean> {
  try {
    await store.put(key, body, { ifAbsent: true, ...options });
    return true;
  } catch (error) {
    if (isPgarkError(error, "exists")) return false;
    throw error;
  }
}
