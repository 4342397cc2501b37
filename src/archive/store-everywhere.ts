import { isPgarkError, PgarkError } from "../errors.ts";
import { sameIdentity } from "../postgres/cluster-identity.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import type { IdentityRecord } from "../repository/cluster-record.ts";
import type { RepositoryMember } from "../repository/members.ts";
import { settleQuorum } from "../repository/members.ts";
import type { Repository } from "../repository/repository.ts";
import type { SealedWalFile } from "../repository/seal-wal-file.ts";
import type { StoredWal } from "../repository/wal-object.ts";
import { putSealedWal, walRecipients } from "../repository/wal-object.ts";
import type { SignalOption } from "../storage/object-store.ts";

/** A repository is opened once; one that takes longer than this while the others are there joins in later. */
const openGraceMs = 2000;

export interface StoreEverywhereOptions extends SignalOption {
  readonly members: readonly RepositoryMember[];
  /** how many of them must have the file before it is acknowledged */
  readonly quorum: number;
  /** how long the others are waited for once that many have it */
  readonly graceMs: number;
  /**
   * A repository with so many files on their way to it is too slow to go along, and is left behind. With 0 nothing goes on after
   * the end: what has not arrived by then is stopped.
   */
  readonly mostPending: number;
  readonly name: WalFileName;
  readonly host: string;
  /** reads, checks and seals the file: one body for each set of recipients */
  readonly seal: (recipientSets: readonly (readonly string[])[]) => Promise<SealedWalFile>;
  /** whose the file will be, as far as is known: the repositories are asked for its record while the file is sealed */
  readonly expected?: ClusterIdentity | undefined;
  /** whose files are those that do not say so themselves */
  readonly ownIdentity: () => ClusterIdentity;
  /**
   * Told of each repository that does not have a file which was acknowledged, and why: at once, or later, when what was still on
   * its way fails.
   */
  readonly onBehind: (behind: Behind) => void;
}

/** A repository that lacks an acknowledged file. */
export interface Behind {
  readonly member: RepositoryMember;
  readonly name: string;
  /** what went wrong; undefined when it is only slower than the others */
  readonly reason: unknown;
}

interface Ready {
  readonly member: RepositoryMember;
  readonly repository: Repository;
}

/** A file on its way to one repository. */
interface Way extends Ready {
  readonly arrival: Promise<StoredWal>;
  readonly stop: () => void;
}

/**
 * Stores one WAL file in all repositories at once; when this returns, `quorum` of them have it, durably. Gives back what these
 * say. Throws what hindered the first of them when there are not enough, and when one of them is known to hold other content
 * under this name.
 */
export async function storeEverywhere(options: StoreEverywhereOptions): Promise<readonly StoredWal[]> {
  const { members, quorum, graceMs, mostPending } = options;
  if (members.length === 0 || quorum < 1) throw new Error("no repository must have it");
  const taking = takingPart(options);
  const opened = await settleQuorum(
    taking.map(async (member) => ({ member, repository: await member.open() })),
    quorum,
    openGraceMs,
  );
  const ready = opened.flatMap((result) => (result?.status === "fulfilled" ? [result.value] : []));
  // Fewer than must have it take it all the same: better in some than in none until PostgreSQL asks again.
  if (ready.length === 0) throw tooFew(taking, opened, options);

  const ways = await send(ready, options);
  const results = await settleQuorum(
    ways.map(({ arrival }) => arrival),
    quorum,
    graceMs,
  );
  throwConflict(results);
  const stored = results.flatMap((result) => (result?.status === "fulfilled" ? [result.value] : []));
  if (stored.length < quorum) {
    const outcomes = taking.map(
      (member, index) => results[ready.findIndex((one) => one.member === member)] ?? opened[index],
    );
    throw tooFew(taking, outcomes, options, stored.length);
  }

  tellOfRest(members, taking, opened, options);
  for (const [index, way] of ways.entries()) {
    const result = results[index];
    if (result?.status === "rejected") tell(way.member, result.reason, options);
    else if (result === undefined && way.member.pending <= mostPending) follow(way, options);
    else if (result === undefined) {
      way.stop();
      tell(way.member, undefined, options);
    }
  }
  return stored;
}

/** Those that are there, when they are enough; else all: one that was away may be back. */
function takingPart({ members, quorum, mostPending }: StoreEverywhereOptions): readonly RepositoryMember[] {
  const here = members.filter((member) => member.away === undefined && member.pending < Math.max(1, mostPending));
  return here.length >= quorum ? here : members;
}

/** Seals the file and begins to store it; its memory is given back when nobody is at it any more. */
async function send(ready: readonly Ready[], options: StoreEverywhereOptions): Promise<readonly Way[]> {
  const sets = ready.map(({ repository }) => walRecipients(repository, options.name.name));
  const keys = sets.map((set) => [...set].sort().join(" "));
  const distinct = [...new Set(keys)];
  const records = ready.map(({ repository }) => expectedRecord(repository, options));
  // Repositories with the same recipients share a body.
  const sealed = await options.seal(distinct.map((key) => sets[keys.indexOf(key)] ?? []));
  const ways = ready.map((to, index): Way => {
    const leaving = new AbortController();
    const body = sealed.bodies[distinct.indexOf(keys[index] ?? "")];
    const arrival = put(to, { ...sealed, body }, records[index], leaving, options);
    return { ...to, arrival, stop: () => leaving.abort() };
  });
  void Promise.allSettled(ways.map(({ arrival }) => arrival)).then(() => sealed.release?.());
  return ways;
}

/** Asks for the record of the expected life ahead of time; what comes of it is looked at when it is needed. */
function expectedRecord(
  repository: Repository,
  { expected, signal }: StoreEverywhereOptions,
): Promise<IdentityRecord> | undefined {
  if (expected === undefined) return undefined;
  const record = repository.identityRecord(expected, { signal });
  record.catch(() => undefined);
  return record;
}

async function put(
  { member, repository }: Ready,
  sealed: Omit<SealedWalFile, "bodies"> & { readonly body: Uint8Array | undefined },
  expectedRecordOf: Promise<IdentityRecord> | undefined,
  leaving: AbortController,
  { name, host, ownIdentity, expected, signal }: StoreEverywhereOptions,
): Promise<StoredWal> {
  const { body, digest } = sealed;
  if (body === undefined) throw new Error("a body was not sealed");
  const leave = (): void => leaving.abort(signal?.reason);
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  member.pending++;
  try {
    const identity = sealed.identity ?? ownIdentity();
    // Not once for all: a repository that was unmounted must not get a new beginning on the disk below.
    if (expectedRecordOf !== undefined && expected !== undefined && sameIdentity(identity, expected)) {
      await expectedRecordOf;
    } else await repository.identityRecord(identity, { signal: leaving.signal });
    const place = { identity, name: name.name, host, signal: leaving.signal };
    const stored = await putSealedWal(repository, { ...place, sealed: body, digest });
    member.away = undefined;
    return stored;
  } finally {
    member.pending--;
    signal?.removeEventListener("abort", leave);
  }
}

/** Repositories that the file was not even sent to. */
function tellOfRest(
  members: readonly RepositoryMember[],
  taking: readonly RepositoryMember[],
  opened: readonly (PromiseSettledResult<unknown> | undefined)[],
  options: StoreEverywhereOptions,
): void {
  for (const member of members) {
    const result = opened[taking.indexOf(member)];
    if (!taking.includes(member)) tell(member, member.away, options);
    else if (result?.status === "rejected") tell(member, result.reason, options);
    else if (result === undefined) tell(member, noAnswer(member), options);
  }
}

/** Goes on in the background; only of its failure something is to be told. */
function follow({ member, arrival }: Way, options: StoreEverywhereOptions): void {
  arrival.catch((error: unknown) => {
    if (!options.signal?.aborted) tell(member, error, options);
  });
}

function tell(member: RepositoryMember, reason: unknown, { name, onBehind }: StoreEverywhereOptions): void {
  onBehind({ member, name: name.name, reason });
}

function noAnswer({ url }: RepositoryMember): PgarkError {
  return new PgarkError("unavailable", "it does not answer yet", { operation: "open repository", object: url });
}

function throwConflict(results: readonly (PromiseSettledResult<unknown> | undefined)[]): void {
  const conflict = results.find((result) => result?.status === "rejected" && isPgarkError(result.reason, "conflict"));
  if (conflict?.status === "rejected") throw conflict.reason;
}

/**
 * Why a file is not acknowledged.
 * @param results of those that were asked, in their order
 */
function tooFew(
  asked: readonly RepositoryMember[],
  results: readonly (PromiseSettledResult<unknown> | undefined)[],
  { members, quorum, name }: StoreEverywhereOptions,
  done = 0,
): unknown {
  const index = results.findIndex((result) => result?.status === "rejected");
  const failed = results[index];
  const reason: unknown = failed?.status === "rejected" ? failed.reason : undefined;
  if (members.length === 1 || !isPgarkError(reason)) return reason;
  const of = `${done} of ${members.length} repositories could take it, ${quorum} must`;
  return new PgarkError(reason.code, `${asked[index]?.url}: ${reason.message} (${of})`, {
    operation: "push",
    object: name.name,
    cause: reason,
    hint: reason.hint ?? "with a smaller quorum archiving goes on while a repository is away",
  });
}
