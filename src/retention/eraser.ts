import { isPgarkError } from "../errors.ts";
import type { ObjectInfo, ObjectStore, SignalOption } from "../storage/object-store.ts";
import { undeletedOf } from "../storage/undeleted.ts";
import type { Undeleted } from "../storage/undeleted.ts";

/** Objects deleted with one call. */
export const eraseBatch = 1000;
/** So many of what stays are named; all are counted. */
const mostNamed = 20;
/** When the store refused so many of one kind, the others of it are not tried any more. */
const enoughRefusals = 1000;

export interface EraserOptions extends SignalOption {
  readonly store: ObjectStore;
  /** asked before every call; throws when nothing may be deleted any more */
  readonly check: (options: SignalOption) => Promise<void>;
  readonly onErased?: (done: Erased) => void;
}

/** What is gone. */
export interface Erased {
  readonly objects: number;
  /** as stored */
  readonly bytes: number;
}

/** What the store did not let go. */
export interface Stayed {
  readonly count: number;
  readonly first: readonly Undeleted[];
}

/**
 * Deletes objects batch by batch, with a look before each batch whether it still may. What the store refuses to delete is
 * remembered and passed over; every other failure ends it.
 */
export class Eraser {
  readonly #options: EraserOptions;
  #erased: Erased = { objects: 0, bytes: 0 };
  #stayed: Stayed = { count: 0, first: [] };

  constructor(options: EraserOptions) {
    this.#options = options;
  }

  get erased(): Erased {
    return this.#erased;
  }

  get stayed(): Stayed {
    return this.#stayed;
  }

  /** Deletes all of `objects`. Resolves with the keys that are still there: few, or as many as made it give up. */
  async erase(objects: Iterable<ObjectInfo> | AsyncIterable<ObjectInfo>): Promise<readonly string[]> {
    const left: string[] = [];
    let batch: ObjectInfo[] = [];
    for await (const object of objects) {
      batch.push(object);
      if (batch.length < eraseBatch) continue;
      left.push(...(await this.#eraseBatch(batch)));
      if (left.length >= enoughRefusals) return left;
      batch = [];
    }
    left.push(...(await this.#eraseBatch(batch)));
    return left;
  }

  /** The same for small objects whose keys are known; their sizes are not counted. */
  eraseKeys(keys: readonly string[]): Promise<readonly string[]> {
    return this.erase(keys.map((key) => ({ key, size: 0, modified: new Date(0) })));
  }

  async #eraseBatch(batch: readonly ObjectInfo[]): Promise<readonly string[]> {
    if (batch.length === 0) return [];
    const { store, check, signal, onErased } = this.#options;
    await check({ signal });
    const stayed = await this.#delete(
      batch.map(({ key }) => key),
      { store, signal },
    );
    const left = new Set(stayed.map(({ key }) => key));
    for (const { key, size } of batch) {
      if (left.has(key)) continue;
      this.#erased = { objects: this.#erased.objects + 1, bytes: this.#erased.bytes + size };
    }
    const { count, first } = this.#stayed;
    this.#stayed = { count: count + stayed.length, first: [...first, ...stayed].slice(0, mostNamed) };
    onErased?.(this.#erased);
    return [...left];
  }

  async #delete(
    keys: readonly string[],
    { store, signal }: { readonly store: ObjectStore } & SignalOption,
  ): Promise<readonly Undeleted[]> {
    let refused: readonly Undeleted[] = [];
    try {
      await store.delete(keys, { signal });
    } catch (error) {
      const undeleted = undeletedOf(error);
      if (undeleted === undefined) throw error;
      refused = undeleted;
    }
    const first = keys.find((key) => !refused.some((each) => each.key === key));
    if (first === undefined || !(await isThere(store, first, { signal }))) return refused;
    // One look for each batch: a store that says so of one object says so of all.
    const problem = "the store said that it was deleted, and it is still there";
    return keys.map((key) => ({ key, problem }));
  }
}

async function isThere(store: ObjectStore, key: string, options: SignalOption): Promise<boolean> {
  try {
    await store.head(key, options);
    return true;
  } catch (error) {
    if (isPgarkError(error, "not-found")) return false;
    throw error;
  }
}
