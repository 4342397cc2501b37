import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { parseWalFileName } from "../postgres/wal-file-name.ts";
import { readObject } from "../repository/envelope/whole-object.ts";
import { sealedSuffix, walFolder, walKey, walPath } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { putSealedWal, readHead, walRecipients } from "../repository/wal-object.ts";
import { compareKeys } from "../storage/compare-keys.ts";
import type { SignalOption } from "../storage/object-store.ts";

/**
 * What was archived longer ago than this is not copied: it may be gone from a repository on purpose, by retention. A repository
 * that was away for longer needs a new backup.
 */
export const catchUpMs = 7 * 24 * 60 * 60 * 1000;

/** A WAL file in a repository. */
export interface WalEntry {
  readonly name: string;
  /** by which lists of repositories are in the same order, encrypted or not */
  readonly place: string;
  /** when this repository got it */
  readonly modified: Date;
}

export interface CompareOptions extends SignalOption {
  /** only what was archived since then */
  readonly since: Date;
  /** only from this place on; from the beginning when undefined */
  readonly startAt: string | undefined;
}

/**
 * The WAL files that `from` has and `to` lacks: archived since `since`, and after the first one that `to` has, in the order of
 * their keys. Two lists are walked side by side, so memory does not grow with them.
 */
export async function* missingWal(
  from: Repository,
  to: Repository,
  identity: ClusterIdentity,
  { since, startAt, signal }: CompareOptions,
): AsyncGenerator<WalEntry> {
  const first = await firstWal(to, identity, { signal });
  // What came before the first was never wanted there, or is not any more.
  if (first === undefined) return;
  const begin = startAt === undefined || isBefore(startAt, first.place) ? first.place : startAt;
  const there = listWalFiles(to, identity, { signal, startAt: begin });
  try {
    let next = await there.next();
    for await (const entry of listWalFiles(from, identity, { signal, startAt: begin })) {
      while (next.done !== true && isBefore(next.value.place, entry.place)) next = await there.next();
      if (next.done !== true && next.value.place === entry.place) continue;
      if (entry.modified >= since) yield entry;
    }
  } finally {
    await there.return(undefined);
  }
}

function isBefore(a: string, b: string): boolean {
  return compareKeys(a, b) < 0;
}

/** Where a WAL file stands in the list of any repository. */
export function walPlace(name: string): string {
  return walPath(name, false);
}

async function firstWal(
  repository: Repository,
  identity: ClusterIdentity,
  { signal }: SignalOption,
): Promise<WalEntry | undefined> {
  for await (const entry of listWalFiles(repository, identity, { signal, startAt: undefined })) return entry;
  return undefined;
}

/** The WAL files of a repository in the order of their keys, from `startAt` on. */
export async function* listWalFiles(
  { store, cluster, encrypted }: Repository,
  identity: ClusterIdentity,
  { signal, startAt }: Pick<CompareOptions, "signal" | "startAt">,
): AsyncGenerator<WalEntry, undefined> {
  const folder = walFolder(cluster, identity);
  const suffix = sealedSuffix(encrypted);
  // A place ends as keys do that are not encrypted. What precedes all that follow it is the name without an ending.
  const startAfter = startAt === undefined ? undefined : folder + startAt.slice(0, -sealedSuffix(false).length);
  for await (const { key, modified } of store.list(folder, { signal, startAfter })) {
    if (!key.endsWith(suffix)) continue;
    const name = key.slice(key.lastIndexOf("/") + 1, -suffix.length);
    if (parseWalFileName(name) === undefined) continue;
    const place = walPlace(name);
    if (startAt === undefined || !isBefore(place, startAt)) yield { name, place, modified };
  }
  return undefined;
}

/** Whether an object of one repository is one of the other as it is: sealed to the same keys. */
export function canCopy(from: Repository, to: Repository, name: string): boolean {
  const [a, b] = [from, to].map((repository) => [...walRecipients(repository, name)].sort().join(" "));
  return a === b;
}

export interface CopyWalOptions extends SignalOption {
  readonly identity: ClusterIdentity;
  readonly name: string;
  /** who copies it */
  readonly host: string;
  /** only what was first archived since then */
  readonly since: Date;
}

/**
 * Copies a WAL file as it is sealed. "unwanted" when it was first archived too long ago, whatever copies of it are younger, or
 * when the source does not have it any more. Throws `corrupt` when the object is damaged, as far as that shows without a key,
 * and else as `putSealedWal` does.
 */
export async function copyWal(from: Repository, to: Repository, file: CopyWalOptions): Promise<"copied" | "unwanted"> {
  const { signal } = file;
  const key = walKey(from.cluster, file.identity, file.name, from.encrypted);
  let sealed: Uint8Array;
  let digest: string;
  try {
    const head = await readHead(from, key, { signal });
    if (head === undefined) {
      throw new PgarkError("corrupt", "the head of the object cannot be read", { operation: "copy WAL", object: key });
    }
    if (head.written < file.since) return "unwanted";
    sealed = await from.store.get(key, { signal });
    if (!from.encrypted) await readObject(sealed, { encrypted: false, identities: [] }, () => undefined);
    digest = head.digest;
  } catch (error) {
    if (isPgarkError(error, "not-found")) return "unwanted";
    throw error;
  }
  // A repository that was unmounted must not get a new beginning on the disk below.
  await to.identityRecord(file.identity, { signal });
  await putSealedWal(to, { ...file, sealed, digest });
  return "copied";
}
