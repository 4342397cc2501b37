import { isPgarkError, PgarkError } from "../../errors.ts";
import type { ObjectStore } from "../../storage/object-store.ts";
import { copyBytes } from "../copy-bytes.ts";
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
  const read = (offset: number, into?: Uint8Array): Promise<Uint8Array> =>
    store.get(key, { range: { offset, length: Math.min(parts.slotSize, size - offset) }, into, signal });
  const first = await read(0);
  const header = options.encrypted
    ? await openHeader(first, options.secretKeys).catch((error: unknown) => {
        throw named(error, key);
      })
    : undefined;
  const slots = new PartSlots(parts);
  slots.reset();
  const feeder = new Feeder(slots);
  const stop = (): void => feeder.stop();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop(); // while the object was opened: the event does not come again
  const skipped = header?.size ?? 0;
  const feed = async (): Promise<void> => {
    if (first.length > skipped) await feeder.put(async () => first.subarray(skipped));
    for (let offset = first.length; offset < size;) {
      const bytes = await feeder.put((into) => read(offset, into));
      if (bytes === 0) throw cutShort(key);
      offset += bytes;
    }
  };
  const feeding = feed();
  // Looked at below; until then a failure must not be an unhandled one.
  feeding.catch(() => feeder.stop());
  try {
    const task = { files, key: header?.key, storedSize: size - skipped, parts, counters };
    await pool.run("extractPack", task, () => feeder.released());
    await feeding;
  } catch (error) {
    feeder.stop();
    // The worker only says that it was stopped; why is what the reading ran into.
    const reason = await feeding.then(
      () => error,
      (why: unknown) => (why === stopped ? error : why),
    );
    throw named(reason, key);
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

  /** Fills the next slot, once it is free, with what `load` brings; that may lie in the slot already. Returns its size. */
  async put(load: (into: Buffer) => Promise<Uint8Array>): Promise<number> {
    const slot = this.#next++ % slotCount;
    while (!this.#slots.isEmpty(slot)) {
      if (this.#stopped) throw stopped;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const target = this.#slots.bytes(slot);
    const bytes = await load(target);
    if (bytes.buffer !== target.buffer) copyBytes(target, bytes, 0);
    if (bytes.length > 0) this.#slots.fill(slot, bytes.length);
    return bytes.length;
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
}

function cutShort(key: string): PgarkError {
  return damaged(key, "the object is shorter than the manifest says");
}

/** Ciphers and decompressors do not know what they work on; whoever reads the error must. */
function named(error: unknown, key: string): unknown {
  if (!isPgarkError(error, "corrupt") || error.object !== undefined) return error;
  return damaged(key, error.message, error);
}

function damaged(key: string, problem: string, cause?: unknown): PgarkError {
  return new PgarkError("corrupt", problem, {
    operation: "restore pack",
    object: key,
    hint: "restore from another backup (`pgark list`); `--backup` names it",
    cause,
  });
}
