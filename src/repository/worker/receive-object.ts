import { isPgarkError, PgarkError } from "../../errors.ts";
import type { ObjectStore } from "../../storage/object-store.ts";
import { copyBytes } from "../../copy-bytes.ts";
import { openHeader } from "../envelope/age-header.ts";
import { maxHeaderSize } from "../envelope/age-stanzas.ts";
import type { SharedParts } from "./shared-parts.ts";
import { PartSlots, slotCount } from "./shared-parts.ts";

export interface ReceiveObjectOptions {
  readonly store: ObjectStore;
  readonly key: string;
  /** bytes as stored; undefined when nobody knows, and the object is read to its end */
  readonly size: number | undefined;
  readonly encrypted: boolean;
  readonly secretKeys: readonly string[];
  readonly parts: SharedParts;
  readonly signal: AbortSignal | undefined;
}

/** What a worker is told of an object whose parts come in shared slots. */
export interface IncomingObject {
  /** the stored bytes before the payload, which come in no slot */
  readonly header: Uint8Array;
  /** the payload's key, or undefined when it is not encrypted */
  readonly key: Uint8Array | undefined;
  /** the first bytes of the object, header included: all of them, or as many as any header has */
  readonly beginning: Uint8Array;
}

/**
 * Reads an object from the store, part by part, while `work` has a worker take the parts. Where the size is not known, a part
 * of no bytes follows the last one. `work` calls `released` whenever the worker has given a slot back.
 */
export async function receiveObject<R>(
  options: ReceiveObjectOptions,
  work: (object: IncomingObject, released: () => void) => Promise<R>,
): Promise<R> {
  const { store, key, size, parts, signal } = options;
  const read = (offset: number, into?: Uint8Array): Promise<Uint8Array> => {
    const length = size === undefined ? parts.slotSize : Math.min(parts.slotSize, size - offset);
    return store.get(key, { range: { offset, length }, into, signal });
  };
  const slots = new PartSlots(parts);
  slots.reset();
  const first = await read(0, slots.bytes(0));
  // Apart from the slot, where what follows the header moves to its place.
  const beginning = Buffer.from(first.subarray(0, maxHeaderSize));
  const opened = options.encrypted
    ? await openHeader(beginning, options.secretKeys).catch((error: unknown) => {
        throw named(error, key);
      })
    : undefined;
  const feeder = new Feeder(slots);
  const stop = (): void => feeder.stop();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop(); // while the object was opened: the event does not come again
  const skipped = opened?.size ?? 0;
  const feed = async (): Promise<void> => {
    if (first.length > skipped) await feeder.put(async () => first.subarray(skipped));
    let last = first.length;
    for (let offset = last; size === undefined ? last === parts.slotSize : offset < size; offset += last) {
      last = await feeder.put((into) => read(offset, into));
      if (last === 0 && size !== undefined) throw damaged(key, "the object is shorter than the manifest says");
    }
    if (size === undefined) await feeder.end();
  };
  const feeding = feed();
  // Looked at below; until then a failure must not be an unhandled one.
  feeding.catch(() => feeder.stop());
  try {
    const object = { header: beginning.subarray(0, skipped), key: opened?.key, beginning };
    const result = await work(object, () => feeder.released());
    await feeding;
    return result;
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
const stopped = new PgarkError("aborted", "stopped", { operation: "read object" });

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
    const slot = await this.#free();
    const target = this.#slots.bytes(slot);
    const bytes = await load(target);
    if (bytes.buffer !== target.buffer) copyBytes(target, bytes, 0);
    else if (bytes.byteOffset !== target.byteOffset) target.set(bytes);
    if (bytes.length > 0) {
      this.#slots.fill(slot, bytes.length);
      this.#next++;
    }
    return bytes.length;
  }

  /** Says that no more comes. */
  async end(): Promise<void> {
    this.#slots.fill(await this.#free(), 0);
  }

  async #free(): Promise<number> {
    const slot = this.#next % slotCount;
    while (!this.#slots.isEmpty(slot)) {
      if (this.#stopped) throw stopped;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return slot;
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
