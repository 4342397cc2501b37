import { randomUUID } from "node:crypto";
import { isPgarkError, PgarkError, throwIfAborted } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ObjectStore, SignalOption } from "../storage/object-store.ts";
import { Heartbeat } from "./heartbeat.ts";
import { pruneLeaseFolder } from "./layout.ts";
import { decodeRecord, encodeRecord } from "./records.ts";

/** How often the holder gives a sign of life. */
const beatMs = 30_000;
/** A lease without a sign of life for so long, by the store's clock, is another's to take. */
const staleMs = 5 * 60_000;
/** A holder that could give none for so long does not trust its lease any more: well before others take it. */
const doubtMs = staleMs / 2;

export interface LeaseOptions extends SignalOption {
  readonly store: ObjectStore;
  readonly cluster: string;
  readonly host: string;
  /** as a verb phrase, for those who find it taken: "prune" */
  readonly purpose: string;
  readonly now: () => Date;
  readonly log: Log;
}

/** The right to delete things of a cluster, which only one process has at a time. */
export interface Lease {
  /** when it was taken, by the store's own clock */
  readonly taken: Date;
  /** Resolves while the lease is surely held; else throws `refused`. To be asked before everything that must not be done twice. */
  check(options: SignalOption): Promise<void>;
  /** Gives it back. Never rejects. */
  release(): Promise<void>;
}

/** One of the leases that were taken one after the other: `lease/<generation>/`. */
interface Generation {
  readonly number: number;
  readonly keys: readonly string[];
  /** when its holder last gave a sign of life, by the store's clock */
  readonly lastSign: Date;
}

/**
 * Takes the lease, or throws `refused` when somebody alive has it. Each lease is a folder under a number of its own: the next
 * number is taken by a conditional create, which one of any number of rivals wins. Who has made it looks once more, and gives
 * it back if another one turns out to be alive; else it takes the stale ones away, and their holders notice.
 */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const { store, signal } = options;
  const folder = pruneLeaseFolder(options.cluster);
  const before = await listGenerations(store, folder, { signal });
  if (before.length > 0) await refuseIfHeld(options, before, await storeTime(options, folder));

  const number = (before.at(-1)?.number ?? 0) + 1;
  const key = keyOf(options.cluster, number);
  const token = randomUUID();
  await createLease(options, key, token);
  const others = (await listGenerations(store, folder, { signal })).filter((each) => each.number !== number);
  const { modified: taken } = await store.head(key, { signal });
  await checkHeld(options, key, token, { signal }); // a store without conditions lets two writers pass
  try {
    await refuseIfHeld(options, others, taken);
  } catch (error) {
    await store.delete([key]);
    throw error;
  }
  for (const stale of others) {
    options.log.warn(`took over the lease of a run that gave no sign of life since ${stale.lastSign.toISOString()}`);
    await store.delete(stale.keys, { signal });
  }
  return hold(options, { key, token, taken });
}

async function createLease({ store, host, purpose, now, signal }: LeaseOptions, key: string, token: string) {
  const record = encodeRecord({ kind: "pgark lease", token, host, purpose, taken: now().toISOString() });
  try {
    await store.put(key, record, { ifAbsent: true, signal });
  } catch (error) {
    if (!isPgarkError(error, "exists")) throw error;
    throw busy("another run took the lease at the same moment", purpose, key);
  }
}

function hold(
  options: LeaseOptions,
  { key, token, taken }: { readonly key: string; readonly token: string; readonly taken: Date },
): Lease {
  const { store, host, now, log, purpose } = options;
  const heartbeat = new Heartbeat({
    store,
    folder: key.replace(/lease\.json$/, "alive/"),
    host,
    everyMs: beatMs,
    silenceMs: doubtMs,
    now,
    log,
  });
  return {
    taken,
    check: async ({ signal }) => {
      throwIfAborted(signal, purpose);
      if (heartbeat.isLost) throw lost("no sign of life could be given in time", purpose, key);
      await checkHeld(options, key, token, { signal });
    },
    release: async () => {
      await heartbeat.stop();
      try {
        await checkHeld(options, key, token, {}); // its number may be another's by now
        await store.delete([key]);
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        log.debug(`did not give the lease back: ${problem}`, { key });
      }
    },
  };
}

/** Whoever takes a stale lease over deletes its record before doing anything else. */
async function checkHeld({ store, purpose }: LeaseOptions, key: string, token: string, options: SignalOption) {
  try {
    const there = decodeRecord(key, await store.get(key, options)).string("token");
    if (there === token) return;
  } catch (error) {
    if (!isPgarkError(error, "not-found")) throw error;
  }
  throw lost("another run has taken it over", purpose, key);
}

/** Who holds the lease, or held it last and did not give it back, for people; undefined when nobody does. */
export async function leaseHolder(
  store: ObjectStore,
  cluster: string,
  options: SignalOption,
): Promise<string | undefined> {
  const newest = (await listGenerations(store, pruneLeaseFolder(cluster), options)).at(-1);
  return newest === undefined ? undefined : describeHolder(store, keyOf(cluster, newest.number), options);
}

async function describeHolder(store: ObjectStore, key: string, options: SignalOption): Promise<string> {
  try {
    const fields = decodeRecord(key, await store.get(key, options));
    return `${fields.string("purpose")} on ${fields.string("host")} since ${fields.string("taken")}`;
  } catch (error) {
    if (isPgarkError(error, "aborted")) throw error;
    return "another run"; // for the message alone
  }
}

function keyOf(cluster: string, generation: number): string {
  return `${pruneLeaseFolder(cluster)}${String(generation).padStart(10, "0")}/lease.json`;
}

async function refuseIfHeld(options: LeaseOptions, generations: readonly Generation[], storeNow: Date): Promise<void> {
  const held = generations.findLast(({ lastSign }) => storeNow.getTime() - lastSign.getTime() < staleMs);
  if (held === undefined) return;
  const key = keyOf(options.cluster, held.number);
  const holder = await describeHolder(options.store, key, { signal: options.signal });
  throw busy(`somebody else deletes in this cluster's repository now: ${holder}`, options.purpose, key);
}

async function listGenerations(
  store: ObjectStore,
  folder: string,
  options: SignalOption,
): Promise<readonly Generation[]> {
  const found = new Map<number, Generation>();
  for await (const { key, modified } of store.list(folder, options)) {
    const match = /^(\d{10})\//.exec(key.slice(folder.length));
    if (match === null) continue;
    const number = Number(match[1]);
    const before = found.get(number);
    found.set(number, {
      number,
      keys: [...(before?.keys ?? []), key],
      lastSign: before !== undefined && before.lastSign > modified ? before.lastSign : modified,
    });
  }
  return [...found.values()];
}

/** What time it is for the store, whose clock stamps all signs of life: a fresh object tells. */
async function storeTime({ store, host, signal }: LeaseOptions, folder: string): Promise<Date> {
  const key = `${folder}clock-${randomUUID()}.json`;
  await store.put(key, encodeRecord({ kind: "pgark clock", host }), { ifAbsent: true, signal });
  try {
    return (await store.head(key, { signal })).modified;
  } finally {
    await store.delete([key]);
  }
}

function busy(problem: string, purpose: string, key: string): PgarkError {
  return new PgarkError("refused", problem, {
    operation: purpose,
    object: key,
    hint: "wait for it to end; a lease whose holder was killed can be taken after 5 minutes",
  });
}

function lost(problem: string, purpose: string, key: string): PgarkError {
  return new PgarkError("refused", `the lease was lost: ${problem}`, {
    operation: purpose,
    object: key,
    hint: "nothing more was deleted; what is left goes with the next run",
  });
}
