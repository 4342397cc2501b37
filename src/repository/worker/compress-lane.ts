import { isPgarkError } from "../../errors.ts";
import { frameSize } from "../envelope/payload-writer.ts";
import { compressBound } from "../envelope/zstd.ts";
import type { FrameSizes } from "./pack-tasks.ts";
import { createSharedParts, PartSlots, slotCount } from "./shared-parts.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Plain bytes that a worker compresses at a time. */
const jobFrames = 8;
export const jobSize = jobFrames * frameSize;

/** One worker that compresses for a stream, as long as that lasts: nothing is set up or allocated for each job. */
export class CompressLane {
  readonly #plain: PartSlots;
  readonly #compressed: PartSlots;
  readonly #ended: Promise<void>;
  /** jobs that the worker has not answered yet, oldest first */
  readonly #waiting: {
    readonly resolve: (sizes: readonly FrameSizes[]) => void;
    readonly reject: (error: unknown) => void;
  }[] = [];
  #jobs = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(pool: WorkerPool, level: number) {
    const plain = createSharedParts(jobSize);
    const compressed = createSharedParts(jobFrames * compressBound(frameSize));
    this.#plain = new PartSlots(plain);
    this.#compressed = new PartSlots(compressed);
    const answer = (sizes: unknown): void => this.#waiting.shift()?.resolve(sizes as readonly FrameSizes[]);
    this.#ended = pool.run("compressFrames", { plain, compressed, level }, answer).catch((error: unknown) => {
      this.#failure = { error };
      for (const { reject } of this.#waiting.splice(0)) reject(error);
      if (!isPgarkError(error, "aborted")) throw error;
    });
    this.#ended.catch(() => undefined); // its jobs tell, and `close`
  }

  /** Where the next job's plain bytes go. The caller has taken the frames of the job `slotCount` before. */
  next(): Buffer {
    return this.#plain.bytes(this.#jobs % slotCount);
  }

  /** Compresses the `length` bytes in `next()`; the frames stay where they are until `slotCount` jobs later. */
  async compress(length: number): Promise<readonly { readonly frame: Uint8Array; readonly plainSize: number }[]> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const slot = this.#jobs++ % slotCount;
    const answered = new Promise<readonly FrameSizes[]>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#plain.fill(slot, length);
    const target = this.#compressed.bytes(slot);
    let offset = 0;
    return (await answered).map(({ size, plainSize }) => {
      const frame = target.subarray(offset, offset + size);
      offset += size;
      return { frame, plainSize };
    });
  }

  /** Ends the worker's task, whatever it is doing. */
  async close(): Promise<void> {
    this.#plain.stop();
    await this.#ended;
  }
}
