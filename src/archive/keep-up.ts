import { isPgarkError, throwIfAborted } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { RepositoryMember } from "../repository/members.ts";
import type { Repository } from "../repository/repository.ts";
import { compareKeys } from "../storage/compare-keys.ts";
import { canCopy, catchUpMs, copyWal, missingWal, walPlace } from "./catch-up.ts";
import type { Behind } from "./store-everywhere.ts";

const firstPauseMs = 1000;
const longestPauseMs = 60_000;

export interface KeepUpOptions {
  readonly members: readonly RepositoryMember[];
  readonly identity: ClusterIdentity;
  readonly host: string;
  /** Stores a file in one repository from the data directory; false when it is not there any more. */
  readonly storeFromDisk: (member: RepositoryMember, name: string, signal: AbortSignal) => Promise<boolean>;
  readonly now: () => Date;
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly log: Log;
}

/** To be compared with the others: from this place on, or from the beginning. */
interface Lagging {
  readonly startAt: string | undefined;
}

/** What is known of one repository. */
interface State {
  readonly member: RepositoryMember;
  /** undefined: it is level with those that could be asked */
  lagging: Lagging | undefined;
  /** others that could not be asked when it was compared last */
  readonly unasked: Set<RepositoryMember>;
  /** whether it is being compared */
  trying: boolean;
  failures: number;
  /** whether the log says already that it lags */
  told: boolean;
  wake: () => void;
}

/** One repository that is brought what another has. */
interface Job {
  readonly from: Repository;
  readonly to: Repository;
  readonly member: RepositoryMember;
  readonly since: Date;
  readonly startAt: string | undefined;
  /** files that nobody could bring yet */
  readonly lost: Set<string>;
  readonly signal: AbortSignal;
}

/** So many names of files that nobody can bring are held. */
const mostLost = 1000;

/**
 * Brings repositories that lag what the others have. Nothing is kept of what lags: it is found by comparing lists, at the
 * beginning and whenever one was left behind.
 */
export class KeepUp {
  readonly #options: KeepUpOptions;
  readonly #states: readonly State[];
  #conflict: { readonly error: unknown } | undefined;

  constructor(options: KeepUpOptions) {
    this.#options = options;
    this.#states = options.members.map((member) => ({
      member,
      lagging: options.members.length > 1 ? { startAt: undefined } : undefined,
      unasked: new Set(),
      trying: false,
      failures: 0,
      told: false,
      wake: () => undefined,
    }));
  }

  /** Whether a repository is not known to be level with the others. */
  get busy(): boolean {
    return this.#states.some(({ lagging, trying, member }) => lagging !== undefined || trying || member.pending > 0);
  }

  /** Throws, once, that a repository was found to hold other content than was acknowledged. */
  throwConflict(): void {
    const found = this.#conflict;
    this.#conflict = undefined;
    if (found !== undefined) throw found.error;
  }

  /** A file was stored without this repository. */
  behind({ member, name, reason }: Behind): void {
    const state = this.#states.find((one) => one.member === member);
    if (state === undefined || this.#states.length === 1) return;
    if (isPgarkError(reason, "conflict")) return this.#clash(member, reason);
    if (!state.told) {
      const facts = { file: name, ...(reason === undefined ? {} : { error: reason }) };
      this.#options.log.warn(`${member.url} lags behind; it catches up when it can`, facts);
    }
    state.told = true;
    // One that is only slow goes on taking what it can.
    member.away ??= reason;
    state.lagging = earlier({ startAt: walPlace(name) }, state.lagging);
    state.wake();
  }

  /** Works until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    // Each by itself: one that hangs does not hold up another.
    await Promise.all(this.#states.map((state) => this.#keep(state, signal)));
  }

  async #keep(state: State, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (state.lagging === undefined) await untilWoken(state, signal);
      else {
        await this.#try(state, signal);
        const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** state.failures);
        // After a success too: one that is a little slow is not to be compared without end.
        await this.#options.sleep(pause, signal).catch(() => undefined);
      }
    }
  }

  async #try(state: State, signal: AbortSignal): Promise<void> {
    const { member, lagging = { startAt: undefined } } = state;
    const { log, identity } = this.#options;
    // What is left behind from now on is to be compared again.
    state.lagging = undefined;
    state.trying = true;
    let answers = false;
    try {
      const to = await untilAborted(member.open(), signal);
      await to.identityRecord(identity, { signal });
      answers = true;
      // From now on new files go there too; what was missed before is in the lists.
      member.away = undefined;
      this.#isBack(member);
      await this.#catchUp(state, to, lagging.startAt, signal);
      if (state.told) log.info(`${member.url} has caught up`);
      state.failures = 0;
      state.told = state.lagging !== undefined;
    } catch (error) {
      state.lagging = earlier(lagging, state.lagging);
      if (signal.aborted) return;
      if (isPgarkError(error, "conflict")) this.#clash(member, error);
      else if (state.failures === 0) log.warn(`${member.url} cannot catch up yet`, { error });
      state.told = true;
      state.failures++;
      // When it was another repository that failed, or a file, new ones may well go there.
      if (!answers) member.away ??= error;
    } finally {
      state.trying = false;
    }
  }

  /** Others that were compared without it are to be compared with it. */
  #isBack(member: RepositoryMember): void {
    for (const state of this.#states) {
      if (!state.unasked.delete(member)) continue;
      state.lagging = { startAt: undefined };
      state.wake();
    }
  }

  /** From each of the others in turn; one that fails does not keep it from the next. */
  async #catchUp(state: State, to: Repository, startAt: string | undefined, signal: AbortSignal): Promise<void> {
    const { members, now, log } = this.#options;
    const { member } = state;
    const since = new Date(now().getTime() - catchUpMs);
    const lost = new Set<string>();
    const failures: unknown[] = [];
    for (const source of members) {
      if (source === member) continue;
      const opening = source.away === undefined ? untilAborted(source.open(), signal) : undefined;
      const from = await opening?.catch(() => undefined);
      throwIfAborted(signal, "catch up");
      if (from === undefined) state.unasked.add(source);
      else {
        const job: Job = { from, member, to, since, startAt, lost, signal };
        await this.#bringAll(job).catch((error: unknown) => failures.push(error));
      }
    }
    if (failures.length > 0) throw failures[0];
    if (lost.size > 0) log.warn(lostText(member, lost));
  }

  async #bringAll(job: Job): Promise<void> {
    const { from, to, lost, member } = job;
    let copied = 0;
    try {
      for await (const { name } of missingWal(from, to, this.#options.identity, job)) {
        const outcome = await this.#bring(job, name);
        if (outcome === "copied") copied++;
        if (outcome !== "lost") lost.delete(name);
        else if (lost.size < mostLost) lost.add(name);
      }
    } finally {
      if (copied > 0) this.#options.log.info(`${member.url} was brought ${copied} WAL files that it lacked`);
    }
  }

  async #bring({ from, to, member, since, signal }: Job, name: string): Promise<"copied" | "unwanted" | "lost"> {
    const { identity, host, storeFromDisk, log } = this.#options;
    if (canCopy(from, to, name)) {
      try {
        return await copyWal(from, to, { identity, name, host, since, signal });
      } catch (error) {
        if (!isPgarkError(error, "corrupt")) throw error;
        log.warn(`${from.store.url} has a damaged ${name}`, { error });
      }
    }
    return (await storeFromDisk(member, name, signal)) ? "copied" : "lost";
  }

  #clash(member: RepositoryMember, error: unknown): void {
    this.#conflict ??= { error };
    this.#options.log.warn(`${member.url} holds other WAL than was archived`, { error });
  }
}

function lostText({ url }: RepositoryMember, lost: ReadonlySet<string>): string {
  const [first = ""] = lost;
  const count = `${lost.size}${lost.size === mostLost ? " or more" : ""}`;
  return (
    `${url} lacks ${lost.size === 1 ? first : `${count} WAL files, the first of them ${first}`}: pg_wal has it no more, and no ` +
    "other repository has an undamaged copy for the same keys; a recovery from this repository alone cannot pass it, so take a " +
    "new backup there"
  );
}

function earlier(a: Lagging, b: Lagging | undefined): Lagging {
  if (b === undefined) return a;
  if (a.startAt === undefined || b.startAt === undefined) return { startAt: undefined };
  return compareKeys(a.startAt, b.startAt) < 0 ? a : b;
}

function untilWoken(state: State, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    state.wake = done;
    signal.addEventListener("abort", done, { once: true });
  });
}

/** To open a repository takes as long as its store has patience; who is asked to stop does not wait for that. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
