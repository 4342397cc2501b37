import { PgarkError } from "../errors.ts";

/** One life of a cluster: what `initdb` or `pg_upgrade` began. */
export interface ClusterIdentity {
  readonly majorVersion: number;
  readonly systemIdentifier: bigint;
}

/** The name of an identity in a repository: `<major>-<system identifier>`. */
export function formatIdentity(identity: ClusterIdentity): string {
  return `${identity.majorVersion}-${identity.systemIdentifier}`;
}

export function parseIdentity(text: string): ClusterIdentity {
  const match = /^(\d{2})-(\d{1,20})$/.exec(text);
  if (match === null) {
    throw new PgarkError("corrupt", "not an identity of a cluster", { operation: "read identity", object: text });
  }
  return { majorVersion: Number(match[1]), systemIdentifier: BigInt(match[2] ?? "") };
}

export function sameIdentity(a: ClusterIdentity, b: ClusterIdentity): boolean {
  return a.majorVersion === b.majorVersion && a.systemIdentifier === b.systemIdentifier;
}
