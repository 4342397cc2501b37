import { createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { PgarkError } from "../../errors.ts";
import { copyBytes } from "../../copy-bytes.ts";
import { chunkSize, decryptChunk, tagSize } from "./age-payload.ts";
import type { Zstd } from "./zstd.ts";
import { compressBound } from "./zstd.ts";
import { freeMemory } from "./free-memory.ts";
import { maxFramePlainSize, readFrame } from "./zstd-frames.ts";
import { frameSize } from "./payload-writer.ts";

export interface PayloadReaderOptions {
  readonly zstd: Zstd;
  /** the payload's key, or undefined when the object is not encrypted */
  readonly key: Uint8Array | undefined;
  /** takes the plain bytes in order; what it is given is valid only during the call */
  readonly plain: (bytes: Uint8Array) => void;
}

/**
 * Turns the stored bytes that follow an object's header into plain ones, synchronously, piece by piece as they arrive. Nothing
 * unauthenticated reaches `plain`; each frame's checksum is verified. Throws `corrupt`. One object after the other can be read
 * over the same buffers.
 */
export class PayloadReader {
  #options: PayloadReaderOptions;
  /** undefined: not encrypted */
  #key: KeyObject | undefined;
  #stored = Buffer.allocUnsafeSlow(chunkSize + tagSize);
  #storedFill = 0;
  #chunks = 0;
  #compressed = Buffer.allocUnsafeSlow(2 * compressBound(frameSize));
  #compressedFill = 0;
  #frame = Buffer.allocUnsafeSlow(frameSize);
  /** bytes of a skippable frame that are still to come */
  #skip = 0;

  constructor(options: PayloadReaderOptions) {
    this.#options = options;
    this.begin(options);
  }

  /** Begins another object; what was left of the one before is forgotten. */
  begin(options: Omit<PayloadReaderOptions, "zstd">): void {
    this.#options = { zstd: this.#options.zstd, ...options };
    this.#key = options.key === undefined ? undefined : createSecretKey(options.key);
    this.#storedFill = 0;
    this.#chunks = 0;
    this.#compressedFill = 0;
    this.#skip = 0;
  }

  write(stored: Uint8Array): void {
    if (this.#key === undefined) {
      this.#decompress(stored);
      return;
    }
    for (let offset = 0; offset < stored.length;) {
      // A full chunk is only known not to be the last one when a byte follows it.
      if (this.#storedFill === this.#stored.length) this.#decrypt(this.#key, false);
      const whole = chunkSize + tagSize;
      if (this.#storedFill === 0 && stored.length - offset > whole) {
        this.#open(this.#key, stored.subarray(offset, offset + whole), false);
        offset += whole;
        continue;
      }
      const taken = Math.min(this.#stored.length - this.#storedFill, stored.length - offset);
      copyBytes(this.#stored, stored.subarray(offset, offset + taken), this.#storedFill);
      this.#storedFill += taken;
      offset += taken;
    }
  }

  /** Says that no more bytes come; throws `corrupt` when the object ends too early. */
  end(): void {
    if (this.#key !== undefined) this.#decrypt(this.#key, true);
    if (this.#compressedFill > 0 || this.#skip > 0) {
      throw new PgarkError("corrupt", "the compressed data ends in the middle of a frame", { operation: "decompress" });
    }
  }

  #decrypt(key: KeyObject, last: boolean): void {
    const stored = this.#stored.subarray(0, this.#storedFill);
    this.#storedFill = 0;
    this.#open(key, stored, last);
  }

  #open(key: KeyObject, stored: Uint8Array, last: boolean): void {
    const compressed = decryptChunk(key, this.#chunks++, last, stored);
    this.#decompress(compressed);
    freeMemory(compressed);
  }

  #decompress(bytes: Uint8Array): void {
    if (this.#compressedFill === 0) {
      const used = this.#readFrames(bytes);
      this.#keep(bytes.subarray(used));
      return;
    }
    this.#keep(bytes);
    const used = this.#readFrames(this.#compressed.subarray(0, this.#compressedFill));
    this.#compressed.copyWithin(0, used, this.#compressedFill);
    this.#compressedFill -= used;
  }

  /** Decompresses every whole frame, passes over the skippable ones, and returns how many bytes they took. */
  #readFrames(bytes: Uint8Array): number {
    let offset = 0;
    for (;;) {
      const skipped = Math.min(this.#skip, bytes.length - offset);
      this.#skip -= skipped;
      offset += skipped;
      const frame = readFrame(bytes, offset);
      if (frame === undefined) return offset;
      if (frame.kind === "data") {
        this.#readData(bytes.subarray(offset, offset + frame.size), frame.plainSize);
        offset += frame.size;
      } else this.#skip = frame.size;
    }
  }

  #readData(frame: Uint8Array, plainSize: number): void {
    if (this.#frame.length < plainSize) this.#frame = Buffer.allocUnsafeSlow(plainSize);
    const size = this.#options.zstd.decompress(this.#frame, frame);
    if (size !== plainSize)
      throw new PgarkError("corrupt", "a frame has another size than it says", { operation: "decompress" });
    this.#options.plain(this.#frame.subarray(0, size));
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#compressedFill + bytes.length;
    if (needed > 2 * maxFramePlainSize) {
      throw new PgarkError("corrupt", "a frame has no end", { operation: "decompress" });
    }
    if (needed > this.#compressed.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#compressed.length * 2));
      larger.set(this.#compressed.subarray(0, this.#compressedFill));
      this.#compressed = larger;
    }
    copyBytes(this.#compressed, bytes, this.#compressedFill);
    this.#compressedFill = needed;
  }
}
