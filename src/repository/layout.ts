import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { PgarkError } from "../errors.ts";

/**
 * Where everything lies in a repository (docs/repository-format.md). Names of WAL files are taken as PostgreSQL gives them: the
 * first eight digits are the timeline, the next eight the "log" part of a segment's name.
 */
export const formatVersion = 1;

/** Throws `usage` unless a cluster's name is a plain folder name in every store. */
export function checkClusterName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return;
  throw new PgarkError("usage", "not a name for a cluster", {
    operation: "open repository",
    object: name,
    hint: "use letters, digits, dots, dashes and underscores, beginning with a letter or digit",
  });
}

export function clusterKey(cluster: string): string {
  return `${cluster}/cluster.json`;
}

export function identityFolder(cluster: string, identity: ClusterIdentity): string {
  return `${cluster}/${formatIdentity(identity)}/`;
}

export function identityKey(cluster: string, identity: ClusterIdentity): string {
  return `${identityFolder(cluster, identity)}identity.json`;
}

/** What follows the name of an object with sealed content. */
export function sealedSuffix(encrypted: boolean): string {
  return encrypted ? ".zst.age" : ".zst";
}

export function walFolder(cluster: string, identity: ClusterIdentity): string {
  return `${identityFolder(cluster, identity)}wal/`;
}

/** The key of a WAL segment or `.partial` (below its log folder), or of a `.history` or `.backup` file (in its timeline's). */
export function walKey(cluster: string, identity: ClusterIdentity, name: string, encrypted: boolean): string {
  return walFolder(cluster, identity) + walPath(name, encrypted);
}

/** A WAL file's key below the folder of all WAL. */
export function walPath(name: string, encrypted: boolean): string {
  const timeline = name.slice(0, 8);
  const inLogFolder = /^[0-9A-F]{24}(\.partial)?$/.test(name);
  const folder = inLogFolder ? `${timeline}/${name.slice(8, 16)}/` : `${timeline}/`;
  return `${folder}${name}${sealedSuffix(encrypted)}`;
}

export function backupsFolder(cluster: string, identity: ClusterIdentity): string {
  return `${identityFolder(cluster, identity)}backups/`;
}

export function backupFolder(cluster: string, identity: ClusterIdentity, label: string): string {
  return `${backupsFolder(cluster, identity)}${label}/`;
}

export function backupRecordKey(cluster: string, identity: ClusterIdentity, label: string): string {
  return `${backupFolder(cluster, identity, label)}backup.json`;
}

/** The marker of a backup that was begun. Whoever creates it has the label. */
export function begunKey(cluster: string, identity: ClusterIdentity, label: string): string {
  return `${backupFolder(cluster, identity, label)}begun.json`;
}

/** Where a writer says that it is still at work. */
export function aliveFolder(cluster: string, identity: ClusterIdentity, label: string): string {
  return `${backupFolder(cluster, identity, label)}alive/`;
}

/** Where the pins of a backup lie. */
export function pinsFolder(cluster: string, identity: ClusterIdentity, label: string): string {
  return `${backupFolder(cluster, identity, label)}pins/`;
}

export function manifestKey(cluster: string, identity: ClusterIdentity, label: string, encrypted: boolean): string {
  return `${backupFolder(cluster, identity, label)}manifest.jsonl${sealedSuffix(encrypted)}`;
}

/** The name of a pack within its backup's folder. */
export function packName(index: number, encrypted: boolean): string {
  return `data/${String(index).padStart(6, "0")}.tar${sealedSuffix(encrypted)}`;
}

/** Where holes in the WAL that somebody knows of are written down. */
export function acknowledgedFolder(cluster: string, identity: ClusterIdentity): string {
  return `${identityFolder(cluster, identity)}acknowledged/`;
}

/** Where whoever deletes says so, that no two do. */
export function pruneLeaseFolder(cluster: string): string {
  return `${cluster}/lease/`;
}

/** Where runs of `pgark verify` leave what they found. */
export function verifyFolder(cluster: string, identity: ClusterIdentity): string {
  return `${identityFolder(cluster, identity)}verify/`;
}

const labelPattern = /^\d{8}T\d{6}Z(-\d+)?$/;

export function isBackupLabel(text: string): boolean {
  return labelPattern.test(text);
}

/** `YYYYMMDDThhmmssZ` of a moment; `attempt` above 0 makes it unique within a second. */
export function backupLabel(moment: Date, attempt: number): string {
  const stamp = moment.toISOString().replace(/[-:]/g, "").slice(0, 15);
  return attempt === 0 ? `${stamp}Z` : `${stamp}Z-${attempt}`;
}
