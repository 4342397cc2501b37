import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { RepositoryMember } from "../repository/members.ts";
import type { Repository } from "../repository/repository.ts";
import { compareKeys } from "../storage/compare-keys.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { WalEntry } from "./catch-up.ts";
import { catchUpMs, listWalFiles } from "./catch-up.ts";

/** How one repository stands beside the others. */
export type RepositoryLag =
  | { readonly url: string; readonly reachable: false; readonly error: unknown }
  | ({ readonly url: string; readonly reachable: true } & WalLag);

export interface WalLag {
  /** WAL files that it has */
  readonly files: number;
  /** those that it lacks, that another has, and that it is to be brought: see `missingWal` */
  readonly lacking: number;
  /** the names of the first and the last of those, in the order of keys */
  readonly first: string | undefined;
  readonly last: string | undefined;
  /** those that it lacks, but that were archived too long ago to be brought: perhaps gone on purpose */
  readonly old: number;
}

export interface RepositoryLagOptions extends SignalOption {
  readonly now: Date;
}

/** One repository's list, and what was counted so far. */
interface Walk {
  readonly member: RepositoryMember;
  entries: AsyncGenerator<WalEntry, undefined> | undefined;
  next: WalEntry | undefined;
  error: unknown;
  files: number;
  lacking: number;
  first: string | undefined;
  last: string | undefined;
  old: number;
}

/**
 * Compares what repositories have of the WAL of one life of a cluster, in one walk over the lists of all of them side by side: it
 * holds one file of each. One that cannot be asked is said to be so, and the others are compared without it. Throws `aborted` only.
 */
export async function repositoryLag(
  members: readonly RepositoryMember[],
  identity: ClusterIdentity,
  { now, signal }: RepositoryLagOptions,
): Promise<readonly RepositoryLag[]> {
  const since = new Date(now.getTime() - catchUpMs);
  const walks = await Promise.all(members.map((member) => begin(member, identity, { signal })));
  try {
    for (let place = leastPlace(walks); place !== undefined; place = leastPlace(walks)) {
      await step(walks, place, since);
    }
  } finally {
    for (const { entries } of walks) await entries?.return(undefined);
  }
  return walks.map(lagOf);
}

async function begin(member: RepositoryMember, identity: ClusterIdentity, options: SignalOption): Promise<Walk> {
  const counted = { files: 0, lacking: 0, first: undefined, last: undefined, old: 0 };
  const walk: Walk = { member, entries: undefined, next: undefined, error: undefined, ...counted };
  await attempt(walk, async () => {
    const repository: Repository = await member.open();
    // One that was unmounted lists nothing, as an empty one does.
    await repository.identityRecord(identity, options);
    walk.entries = listWalFiles(repository, identity, { ...options, startAt: undefined });
    await advance(walk);
  });
  return walk;
}

async function attempt(walk: Walk, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isPgarkError(error, "aborted")) throw error;
    walk.error = error;
    walk.next = undefined;
  }
}

async function advance(walk: Walk): Promise<void> {
  const result = await walk.entries?.next();
  walk.next = result === undefined || result.done === true ? undefined : result.value;
}

function leastPlace(walks: readonly Walk[]): string | undefined {
  let least: string | undefined;
  for (const { next } of walks) {
    if (next !== undefined && (least === undefined || compareKeys(next.place, least) < 0)) least = next.place;
  }
  return least;
}

/** One file: who has it, and who lacks it. */
async function step(walks: readonly Walk[], place: string, since: Date): Promise<void> {
  const having = walks.filter(({ next }) => next?.place === place);
  const name = having[0]?.next?.name;
  const isYoung = having.some(({ next }) => next !== undefined && next.modified >= since);
  for (const walk of walks) {
    // What came before its first was never wanted there, or is not any more.
    if (having.includes(walk) || walk.files === 0 || walk.error !== undefined) continue;
    if (!isYoung) walk.old++;
    else {
      walk.lacking++;
      walk.first ??= name;
      walk.last = name;
    }
  }
  for (const walk of having) {
    walk.files++;
    await attempt(walk, () => advance(walk));
  }
}

function lagOf({ member: { url }, error, files, lacking, first, last, old }: Walk): RepositoryLag {
  if (error !== undefined) return { url, reachable: false, error };
  return { url, reachable: true, files, lacking, first, last, old };
}
