import { copyBytes } from "../../copy-bytes.ts";
import { CompressLane, jobSize } from "./compress-lane.ts";
import { slotCount } from "./shared-parts.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Takes the frames in the order of the bytes they came from. */
export type FrameConsumer = (frame: Uint8Array, plainSize: number) => void;

/**
 * Compresses one stream of bytes in several workers, in turn, and hands the frames on in order. Memory is a few buffers for
 * each worker; `write` waits when all are in use.
 */
export class FramePipeline {
  readonly #lanes: readonly CompressLane[];
  /** the end of each job that may still be using buffers, oldest first */
  readonly #underWay: Promise<void>[] = [];
  #jobs = 0;
  #current: Buffer | undefined;
  #fill = 0;
  #tail: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(pool: WorkerPool, level: number) {
    this.#lanes = Array.from({ length: pool.threads }, () => new CompressLane(pool, level));
  }

  /** Copies `bytes`; what becomes of them is told to `consume`, after a job is full or at `flush`. */
  async write(bytes: Uint8Array, consume: FrameConsumer, consumed: () => Promise<void>): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      this.#current ??= await this.#acquire();
      const taken = Math.min(jobSize - this.#fill, bytes.length - offset);
      copyBytes(this.#current, bytes.subarray(offset, offset + taken), this.#fill);
      this.#fill += taken;
      offset += taken;
      if (this.#fill === jobSize) this.#dispatch(consume, consumed);
    }
  }

  /** Waits until everything written has been consumed; throws what went wrong. */
  async flush(consume: FrameConsumer, consumed: () => Promise<void>): Promise<void> {
    if (this.#fill > 0) this.#dispatch(consume, consumed);
    await this.#tail;
    this.#throwIfFailed();
  }

  /** Gives the workers back, done or not. */
  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }

  #dispatch(consume: FrameConsumer, consumed: () => Promise<void>): void {
    const job = this.#lane().compress(this.#fill);
    job.catch(() => undefined); // its failure is seen below, in its turn
    const before = this.#tail;
    this.#tail = (async () => {
      await before;
      try {
        for (const { frame, plainSize } of await job) consume(frame, plainSize);
        await consumed();
      } catch (error) {
        this.#failure ??= { error };
      }
    })();
    this.#underWay.push(this.#tail);
    this.#jobs++;
    this.#current = undefined;
    this.#fill = 0;
  }

  /** The buffer of the next job: the lane's own, once the job that had it before is consumed. */
  async #acquire(): Promise<Buffer> {
    if (this.#underWay.length === this.#lanes.length * slotCount) await this.#underWay.shift();
    this.#throwIfFailed();
    return this.#lane().next();
  }

  #lane(): CompressLane {
    return this.#lanes[this.#jobs % this.#lanes.length] as CompressLane;
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
