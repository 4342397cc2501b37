import { chunkSize, encryptChunk } from "./age-payload.ts";
import type { SealedHeader } from "./age-header.ts";
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
  readonly #options: PayloadOptions;
  readonly #frame = Buffer.allocUnsafeSlow(frameSize);
  #frameFill = 0;
  /** compressed bytes that wait to be encrypted, one chunk and one frame at the most */
  readonly #pending = Buffer.allocUnsafeSlow(chunkSize + compressBound(frameSize));
  #pendingFill = 0;
  #chunks = 0;
  readonly #frames = new SeekTable();

  constructor(options: PayloadOptions) {
    this.#options = options;
    if (options.header !== undefined) options.write(options.header.bytes);
  }

  write(plain: Uint8Array): void {
    this.plainSize += plain.length;
    for (let offset = 0; offset < plain.length;) {
      if (this.#frameFill === 0 && plain.length - offset >= frameSize) {
        this.#compress(plain.subarray(offset, offset + frameSize));
        offset += frameSize;
        continue;
      }
      const taken = Math.min(frameSize - this.#frameFill, plain.length - offset);
      this.#frame.set(plain.subarray(offset, offset + taken), this.#frameFill);
      this.#frameFill += taken;
      offset += taken;
      if (this.#frameFill === frameSize) this.#flushFrame();
    }
  }

  /** Takes a frame that was compressed elsewhere; only between whole frames. */
  writeFrame(frame: Uint8Array, plainSize: number): void {
    this.plainSize += plainSize;
    this.#frames.add(frame.length, plainSize);
    this.writeRaw(frame);
  }

  /** Bytes that are stored as they are, in front of or behind the frames; they must form skippable frames. */
  writeRaw(frame: Uint8Array): void {
    for (let offset = 0; offset < frame.length; offset += frameSize) {
      const piece = frame.subarray(offset, offset + frameSize);
      this.#pending.set(piece, this.#pendingFill);
      this.#pendingFill += piece.length;
      this.#encryptFullChunks();
    }
  }

  /** Ends the object; with `seekable`, its frames' sizes are listed behind them. */
  end(seekable: boolean): void {
    if (this.#frameFill > 0 || this.#frames.count === 0) this.#flushFrame();
    if (seekable) this.writeRaw(this.#frames.frame());
    const { header, write } = this.#options;
    const rest = this.#pending.subarray(0, this.#pendingFill);
    if (header === undefined) write(rest);
    else encryptChunk(header.key, this.#chunks++, true, rest, write);
    this.#pendingFill = 0;
  }

  #flushFrame(): void {
    this.#compress(this.#frame.subarray(0, this.#frameFill));
    this.#frameFill = 0;
  }

  #compress(plain: Uint8Array): void {
    const size = this.#options.zstd.compress(this.#pending.subarray(this.#pendingFill), plain);
    this.#frames.add(size, plain.length);
    this.#pendingFill += size;
    this.#encryptFullChunks();
  }

  /** Always keeps at least one byte back: the last chunk must be known as the last when it is encrypted. */
  #encryptFullChunks(): void {
    const { header, write } = this.#options;
    if (header === undefined) {
      write(this.#pending.subarray(0, this.#pendingFill));
      this.#pendingFill = 0;
      return;
    }
    let done = 0;
    for (; this.#pendingFill - done > chunkSize; done += chunkSize) {
      encryptChunk(header.key, this.#chunks++, false, this.#pending.subarray(done, done + chunkSize), write);
    }
    this.#pending.copyWithin(0, done, this.#pendingFill);
    this.#pendingFill -= done;
  }
}
