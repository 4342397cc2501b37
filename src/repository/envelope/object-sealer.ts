import { createHash } from "node:crypto";
import type { HeaderDraft } from "./age-header.ts";
import { draftHeader } from "./age-header.ts";
import type { ObjectHead } from "./object-head.ts";
import { headFrame } from "./object-head.ts";
import { frameSize, PayloadWriter } from "./payload-writer.ts";
import type { Zstd } from "./zstd.ts";
import { compressBound } from "./zstd.ts";

export interface SealOptions {
  /** who wrote it: a host name */
  readonly writer: string;
  readonly now: Date;
}

export interface ObjectSealerOptions extends SealOptions {
  readonly zstd: Zstd;
  /** bytes of the plain content */
  readonly size: number;
  /** an object is made for each of them, in their order; an empty one is not encrypted */
  readonly recipientSets: readonly (readonly string[])[];
}

/**
 * Makes the stored form of something whose size is known, with its head, in one pass: the digest in the head is that of all
 * that follows, so room is left for the head and filled at the end. Compresses once, whoever it is encrypted to.
 */
export class ObjectSealer {
  readonly #options: ObjectSealerOptions;
  readonly #hash = createHash("sha256");
  readonly #bodies: readonly Body[];
  readonly #frame = Buffer.allocUnsafeSlow(compressBound(frameSize));

  private constructor(options: ObjectSealerOptions, drafts: readonly (HeaderDraft | undefined)[]) {
    this.#options = options;
    const head = headOf(options, "0".repeat(64));
    this.#bodies = drafts.map((draft) => new Body(draft, head, options.zstd));
  }

  static async begin(options: ObjectSealerOptions): Promise<ObjectSealer> {
    const drafts = options.recipientSets.map((set) => (set.length === 0 ? undefined : draftHeader(set)));
    return new ObjectSealer(options, await Promise.all(drafts));
  }

  /** Takes the next `frameSize` bytes of the content; fewer only at its end. */
  write(plain: Uint8Array): void {
    this.#hash.update(plain);
    const frame = this.#frame.subarray(0, this.#options.zstd.compress(this.#frame, plain));
    for (const body of this.#bodies) body.payload.writeFrame(frame, plain.length);
  }

  /** The objects, each in memory of its own. */
  end(): { readonly sha256: string; readonly bodies: readonly Uint8Array[] } {
    const sha256 = this.#hash.digest("hex");
    const head = headOf(this.#options, sha256);
    return { sha256, bodies: this.#bodies.map((body) => body.end(head)) };
  }
}

function headOf(options: ObjectSealerOptions, sha256: string): ObjectHead {
  return { sha256, size: options.size, writer: options.writer, written: options.now };
}

/** One object that is being written. */
class Body {
  readonly payload: PayloadWriter;
  readonly #draft: HeaderDraft | undefined;
  #buffer: Buffer<ArrayBuffer>;
  #size: number;

  /** @param head of the same length as the one that comes at the end */
  constructor(draft: HeaderDraft | undefined, head: ObjectHead, zstd: Zstd) {
    this.#draft = draft;
    this.#size = this.#front(head).length;
    // WAL compresses to a third; what is never touched takes no memory.
    this.#buffer = Buffer.allocUnsafeSlow(this.#size + (head.size >> 1) + compressBound(frameSize));
    this.payload = new PayloadWriter({
      zstd,
      header: draft === undefined ? undefined : { bytes: new Uint8Array(), key: draft.key },
      write: (bytes) => this.#append(bytes),
    });
  }

  end(head: ObjectHead): Uint8Array {
    this.payload.end(false);
    this.#buffer.set(this.#front(head));
    return this.#buffer.subarray(0, this.#size);
  }

  #front(head: ObjectHead): Uint8Array {
    return this.#draft === undefined ? headFrame(head) : this.#draft.bytes(head);
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#size + bytes.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, this.#size));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#size);
    this.#size = needed;
  }
}
