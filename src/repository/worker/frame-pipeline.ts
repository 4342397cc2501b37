import { frameSize } from "../envelope/payload-writer.ts";
import { compressBound } from "../envelope/zstd.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Plain bytes that a worker compresses at a time. */
const jobFrames = 8;
const jobSize = jobFrames * frameSize;

interface Buffers {
  readonly plain: SharedArrayBuffer;
  readonly compressed: SharedArrayBuffer;
}

/** Takes the frames in the order of the bytes they came from; a promise holds back those behind. */
export type FrameConsumer = (frame: Uint8Array, plainSize: number) => void;

/**
 * Compresses one stream of bytes in several workers and hands the frames on in order. Memory is two buffers for each worker
 * and a few more; `write` waits when all are in use.
 */
export class FramePipeline {
  readonly #pool: WorkerPool;
  readonly #level: number;
  readonly #idle: Buffers[];
  #current: Buffers | undefined;
  #fill = 0;
  #tail: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => undefined;

  constructor(pool: WorkerPool, level: number) {
    this.#pool = pool;
    this.#level = level;
    this.#idle = Array.from({ length: pool.threads + 2 }, () => ({
      plain: new SharedArrayBuffer(jobSize),
      compressed: new SharedArrayBuffer(jobFrames * compressBound(frameSize)),
    }));
  }

  /** Copies `bytes`; what becomes of them is told to `consume`, after a job is full or at `flush`. */
  async write(bytes: Uint8Array, consume: FrameConsumer, consumed: () => Promise<void>): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      this.#current ??= await this.#acquire();
      const taken = Math.min(jobSize - this.#fill, bytes.length - offset);
      Buffer.from(this.#current.plain, this.#fill, taken).set(bytes.subarray(offset, offset + taken));
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

  #dispatch(consume: FrameConsumer, consumed: () => Promise<void>): void {
    const buffers = this.#current;
    if (buffers === undefined) return;
    const { plain, compressed } = buffers;
    const task = { plain, plainSize: this.#fill, compressed, level: this.#level };
    const job = this.#pool.run("compressFrames", task, () => undefined);
    job.catch(() => undefined); // its failure is seen below, in its turn
    const before = this.#tail;
    this.#tail = (async () => {
      await before;
      try {
        const { sizes } = await job;
        let offset = 0;
        for (const { size, plainSize } of sizes) {
          consume(Buffer.from(compressed, offset, size), plainSize);
          offset += size;
        }
        await consumed();
      } catch (error) {
        this.#failure ??= { error };
      } finally {
        this.#idle.push(buffers);
        this.#wake();
      }
    })();
    this.#current = undefined;
    this.#fill = 0;
  }

  async #acquire(): Promise<Buffers> {
    for (;;) {
      this.#throwIfFailed();
      const buffers = this.#idle.pop();
      if (buffers !== undefined) return buffers;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
