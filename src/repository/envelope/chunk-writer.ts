import { createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { copyBytes } from "../../copy-bytes.ts";
import { chunkSize, encryptChunk } from "./age-payload.ts";

/** Encrypts a stream of bytes as the chunks of an age payload, or passes them on as they are. */
export class ChunkWriter {
  readonly #key: KeyObject | undefined;
  /** takes the stored bytes in order; what it is given is valid only during the call */
  readonly #out: (bytes: Uint8Array) => void;
  readonly #chunk: Buffer;
  #fill = 0;
  #chunks = 0;

  /** @param key undefined: not encrypted */
  constructor(key: Uint8Array | undefined, out: (bytes: Uint8Array) => void) {
    this.#key = key === undefined ? undefined : createSecretKey(key);
    this.#out = out;
    this.#chunk = Buffer.allocUnsafeSlow(key === undefined ? 0 : chunkSize);
  }

  write(bytes: Uint8Array): void {
    if (this.#key === undefined) {
      this.#out(bytes);
      return;
    }
    for (let offset = 0; offset < bytes.length;) {
      // Only when more follows: the last chunk must be known as the last when it is encrypted.
      if (this.#fill === chunkSize) this.#encrypt(this.#key, false);
      const taken = Math.min(chunkSize - this.#fill, bytes.length - offset);
      copyBytes(this.#chunk, bytes.subarray(offset, offset + taken), this.#fill);
      this.#fill += taken;
      offset += taken;
    }
  }

  end(): void {
    if (this.#key !== undefined) this.#encrypt(this.#key, true);
  }

  #encrypt(key: KeyObject, last: boolean): void {
    encryptChunk(key, this.#chunks++, last, this.#chunk.subarray(0, this.#fill), this.#out);
    this.#fill = 0;
  }
}
