import { PgarkError } from "../../errors.ts";
import type { ObjectStore } from "../../storage/object-store.ts";
import { openHeader } from "../envelope/age-header.ts";
import type { ExtractFile } from "./pack-tasks.ts";
import type { SharedParts } from "./shared-parts.ts";
import { PartSlots, slotCount } from "./shared-parts.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface ReceivePackOptions {
  readonly store: ObjectStore;
  readonly pool: WorkerPool;
  readonly key: string;
  /** bytes as stored, by the manifest */
  readonly size: number;
  readonly encrypted: boolean;
  readonly secretKeys: readonly string[];
  /** in the order of their offsets */
  readonly files: readonly ExtractFile[];
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly signal: AbortSignal | undefined;
}

/** Reads a pack from the store, part by part, and has a worker write its files. */
export async function receivePack(options: ReceivePackOptions): Promise<void> {
  const { store, pool, key, size, files, parts, counters, signal } = options;
  const read = (offset: number): Promise<Uint8Array> =>
    store.get(key, { range: { offset, length: Math.min(parts.slotSize, size - offset) }, signal });
  const first = await read(0);
  const header = options.encrypted ? await openHeader(first, options.secretKeys) : undefined;
  const slots = new PartSlots(parts);
  slots.reset();
  const feeder = new Feeder(slots);
  const stop = (): void => feeder.stop();
  signal?.addEventListener("abort", stop, { once: true });
  const skipped = header?.size ?? 0;
  const feeding = feeder.feed(first.subarray(skipped), async function* () {
    for (let offset = first.length; offset < size;) {
      const bytes = await read(offset);
      if (bytes.length === 0) throw cutShort(key);
      offset += bytes.length;
      yield bytes;
    }
  });
  // Looked at below; until then a failure must not be an unhandled one.
  feeding.catch(() => feeder.stop());
  try {
    const task = { files, key: header?.key, storedSize: size - skipped, parts, counters };
    await pool.run("extractPack", task, () => feeder.released());
    await feeding;
  } catch (error) {
    feeder.stop();
    // The worker only says that it was stopped; why is what the reading ran into.
    throw await feeding.then(
      () => error,
      (reason: unknown) => (reason === stopped ? error : reason),
    );
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Why the feeding ends when the worker does first; never seen outside. */
const stopped = new PgarkError("aborted", "stopped", { operation: "restore pack" });

/** Fills the slots in turn as the worker gives them back. */
class Feeder {
  readonly #slots: PartSlots;
  #next = 0;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(slots: PartSlots) {
    this.#slots = slots;
  }

  async feed(first: Uint8Array, rest: () => AsyncGenerator<Uint8Array>): Promise<void> {
    await this.#put(first);
    for await (const bytes of rest()) await this.#put(bytes);
  }

  /** Told by the worker that a slot is free. */
  released(): void {
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#slots.stop();
    this.#wake();
  }

  async #put(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const slot = this.#next++ % slotCount;
    while (!this.#slots.isEmpty(slot)) {
      if (this.#stopped) throw stopped;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#slots.bytes(slot).set(bytes);
    this.#slots.fill(slot, bytes.length);
  }
}

function cutShort(key: string): PgarkError {
  return new PgarkError("corrupt", "the object is shorter than the manifest says", {
    operation: "restore pack",
    object: key,
    hint: "restore from another backup (`pgark list`); `--backup` names it",
  });
}
