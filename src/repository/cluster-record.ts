import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { ObjectStore, SignalOption } from "../storage/object-store.ts";
import { clusterKey, identityKey } from "./layout.ts";
import { encodeRecord, readRecord } from "./records.ts";

/** What `cluster.json` says. */
export interface ClusterRecord {
  readonly created: Date;
  /** public keys that everything is encrypted to; none: not encrypted */
  readonly recipients: readonly string[];
  /** public keys of hosts: manifests and timeline histories are encrypted to them too */
  readonly hostRecipients: readonly string[];
}

/** What `identity.json` says. */
export interface IdentityRecord {
  readonly created: Date;
  readonly identity: ClusterIdentity;
  readonly walSegmentSize: number;
}

export function encodeClusterRecord(cluster: string, record: ClusterRecord): Uint8Array {
  return encodeRecord({
    kind: "pgark cluster",
    cluster,
    created: record.created.toISOString(),
    recipients: record.recipients,
    hostRecipients: record.hostRecipients,
  });
}

export function encodeIdentityRecord(record: IdentityRecord): Uint8Array {
  return encodeRecord({
    kind: "pgark identity",
    majorVersion: record.identity.majorVersion,
    systemIdentifier: record.identity.systemIdentifier.toString(),
    walSegmentSize: record.walSegmentSize,
    created: record.created.toISOString(),
  });
}

/**
 * Reads `cluster.json`. That it is missing is never "not-found": a repository that is not mounted or not there must not look
 * like one without the WAL that was asked for.
 */
export async function readClusterRecord(
  store: ObjectStore,
  cluster: string,
  options: SignalOption,
): Promise<ClusterRecord> {
  const key = clusterKey(cluster);
  try {
    const fields = await readRecord(store, key, options);
    return {
      created: fields.date("created"),
      recipients: fields.strings("recipients"),
      hostRecipients: fields.strings("hostRecipients"),
    };
  } catch (error) {
    if (!isPgarkError(error, "not-found")) throw error;
    throw new PgarkError("no-cluster", `there is no cluster "${cluster}" in ${store.url}`, {
      operation: "open repository",
      object: key,
      cause: error,
      hint: "check repository and cluster name and that the repository is mounted; for a new one run `pgark init`",
    });
  }
}

export async function readIdentityRecord(
  store: ObjectStore,
  cluster: string,
  identity: ClusterIdentity,
  options: SignalOption,
): Promise<IdentityRecord> {
  const fields = await readRecord(store, identityKey(cluster, identity), options);
  return {
    created: fields.date("created"),
    identity: {
      majorVersion: fields.number("majorVersion"),
      systemIdentifier: fields.bigint("systemIdentifier"),
    },
    walSegmentSize: fields.number("walSegmentSize"),
  };
}
