import { createHash } from "node:crypto";
import type { Upload } from "../storage/object-store.ts";

/** What an object came to be. */
export interface StoredObject {
  /** of the bytes as stored, hexadecimal */
  readonly sha256: string;
  readonly size: number;
}

/** Takes stored bytes synchronously, in order, and sends them as parts of an object when asked to. */
export class UploadSink {
  readonly #upload: Upload;
  readonly #partSize: number;
  readonly #hash = createHash("sha256");
  #full: Buffer[] = [];
  /** parts that were sent, to be filled again: new ones for a whole backup would be so much garbage */
  readonly #idle: Buffer[] = [];
  #part: Buffer;
  #fill = 0;
  #sent = 0;
  #size = 0;

  constructor(upload: Upload, partSize: number) {
    this.#upload = upload;
    this.#partSize = partSize;
    this.#part = Buffer.allocUnsafeSlow(partSize);
  }

  take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#size += bytes.length;
    for (let offset = 0; offset < bytes.length;) {
      const taken = Math.min(this.#partSize - this.#fill, bytes.length - offset);
      this.#part.set(bytes.subarray(offset, offset + taken), this.#fill);
      this.#fill += taken;
      offset += taken;
      if (this.#fill === this.#partSize) {
        this.#full.push(this.#part);
        this.#part = this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#partSize);
        this.#fill = 0;
      }
    }
  }

  /** Sends the parts that are full. */
  async send(): Promise<void> {
    const parts = this.#full;
    this.#full = [];
    for (const part of parts) {
      await this.#upload.part(this.#sent++, part);
      this.#idle.push(part);
    }
  }

  /** Sends the rest and makes the object appear. */
  async end(): Promise<StoredObject> {
    if (this.#fill > 0) this.#full.push(this.#part.subarray(0, this.#fill));
    this.#fill = 0;
    await this.send();
    await this.#upload.complete();
    return { sha256: this.#hash.digest("hex"), size: this.#size };
  }

  async abort(): Promise<void> {
    await this.#upload.abort();
  }
}
