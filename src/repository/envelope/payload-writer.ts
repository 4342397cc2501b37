import type { SealedHeader } from "./age-header.ts";
import { ChunkWriter } from "./chunk-writer.ts";
import type { Zstd } from "./zstd.ts";
import { compressBound } from "./zstd.ts";
import { SeekTable } from "./zstd-frames.ts";

/** Plain bytes of a frame: the unit that can be read alone. Larger ones gain no ratio on PostgreSQL's pages. */
export const frameSize = 128 * 1024;

export interface PayloadOptions {
  readonly zstd: Zstd;
  /** undefined: not encrypted */
  readonly header: SealedHeader | undefined;
  /** takes the stored bytes in order; what it is given is valid only during the call */
  readonly write: (bytes: Uint8Array) => void;
}

/**
 * Turns plain bytes into the stored form, synchronously and over its own buffers: independent zstd frames of `frameSize`, then,
 * when encrypted, age chunks. Memory does not depend on how much is written.
 */
export class PayloadWriter {
  /** plain bytes taken so far */
  plainSize = 0;
  readonly #zstd: Zstd;
  readonly #chunks: ChunkWriter;
  readonly #plain = Buffer.allocUnsafeSlow(frameSize);
  #plainFill = 0;
  readonly #frame = Buffer.allocUnsafeSlow(compressBound(frameSize));
  readonly #frames = new SeekTable();

  constructor({ zstd, header, write }: PayloadOptions) {
    this.#zstd = zstd;
    if (header !== undefined) write(header.bytes);
    this.#chunks = new ChunkWriter(header?.key, write);
  }

  write(plain: Uint8Array): void {
    this.plainSize += plain.length;
    for (let offset = 0; offset < plain.length;) {
      if (this.#plainFill === 0 && plain.length - offset >= frameSize) {
        this.#compress(plain.subarray(offset, offset + frameSize));
        offset += frameSize;
        continue;
      }
      const taken = Math.min(frameSize - this.#plainFill, plain.length - offset);
      this.#plain.set(plain.subarray(offset, offset + taken), this.#plainFill);
      this.#plainFill += taken;
      offset += taken;
      if (this.#plainFill === frameSize) this.#flushFrame();
    }
  }

  /** Takes a frame that was compressed elsewhere; only between whole frames. */
  writeFrame(frame: Uint8Array, plainSize: number): void {
    this.plainSize += plainSize;
    this.#frames.add(frame.length, plainSize);
    this.#chunks.write(frame);
  }

  /** Ends the object; with `seekable`, its frames' sizes are listed behind them. */
  end(seekable: boolean): void {
    if (this.#plainFill > 0 || this.#frames.count === 0) this.#flushFrame();
    if (seekable) this.#chunks.write(this.#frames.frame());
    this.#chunks.end();
  }

  #flushFrame(): void {
    this.#compress(this.#plain.subarray(0, this.#plainFill));
    this.#plainFill = 0;
  }

  #compress(plain: Uint8Array): void {
    const size = this.#zstd.compress(this.#frame, plain);
    this.#frames.add(size, plain.length);
    this.#chunks.write(this.#frame.subarray(0, size));
  }
}
