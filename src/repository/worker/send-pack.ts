import type { ObjectStore } from "../../storage/object-store.ts";
import type { SealedHeader } from "../envelope/age-header.ts";
import type { BuiltPack, PackEntry } from "./pack-tasks.ts";
import type { PartMessage, SharedParts } from "./shared-parts.ts";
import { PartSlots } from "./shared-parts.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface SendPackOptions {
  readonly store: ObjectStore;
  readonly pool: WorkerPool;
  readonly key: string;
  readonly entries: readonly PackEntry[];
  readonly header: SealedHeader | undefined;
  readonly level: number;
  readonly blockSize: number;
  readonly rate: number | undefined;
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly signal: AbortSignal | undefined;
}

/**
 * Has a worker build a pack and sends its parts to the store as they come. The object appears when all is there; on any failure
 * nothing does.
 */
export async function sendPack(options: SendPackOptions): Promise<BuiltPack> {
  const { store, pool, key, parts, signal } = options;
  const upload = await store.beginUpload(key, { ifAbsent: true, signal });
  const slots = new PartSlots(parts);
  slots.reset();
  const sending = new PendingParts();
  const stop = (): void => slots.stop();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop(); // while the object was opened: the event does not come again
  try {
    const built = await pool.run("buildPack", taskOf(options), (message) => {
      const { index, slot, length } = message as PartMessage;
      sending.add(
        upload.part(index, slots.bytes(slot).subarray(0, length)).then(
          () => slots.release(slot),
          (error: unknown) => {
            slots.stop();
            throw error;
          },
        ),
      );
    });
    await sending.settle();
    await upload.complete();
    return built;
  } catch (error) {
    slots.stop();
    await upload.abort();
    // The worker only says that it was stopped; why is what a part ran into.
    throw (await sending.failure()) ?? error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

function taskOf(options: SendPackOptions) {
  const { entries, header, level, blockSize, rate, parts, counters } = options;
  return { entries, header, level, blockSize, rate, parts, counters };
}

/** Parts on their way to the store. */
class PendingParts {
  readonly #promises: Promise<void>[] = [];

  add(promise: Promise<void>): void {
    promise.catch(() => undefined); // looked at in `settle` or `failure`
    this.#promises.push(promise);
  }

  async settle(): Promise<void> {
    await Promise.all(this.#promises);
  }

  async failure(): Promise<unknown> {
    const results = await Promise.allSettled(this.#promises);
    return results.find((result) => result.status === "rejected")?.reason;
  }
}
