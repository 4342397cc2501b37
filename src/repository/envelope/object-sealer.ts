import { copyBytes } from "../../copy-bytes.ts";
import type { HeaderDraft } from "./age-header.ts";
import { draftHeader } from "./age-header.ts";
import { payloadSize } from "./age-payload.ts";
import { newContentDigest } from "./content-digest.ts";
import type { ObjectHead } from "./object-head.ts";
import { headFrame } from "./object-head.ts";
import { ChunkWriter } from "./chunk-writer.ts";
import { frameSize } from "./payload-writer.ts";
import type { Zstd } from "./zstd.ts";
import { compressBound, openZstd } from "./zstd.ts";

export interface SealOptions {
  /** who wrote it: a host name */
  readonly writer: string;
  readonly now: Date;
}

/** What sealing needs besides, for one object after the other: a zstd context and buffers. */
export class SealWorkspace {
  readonly level: number;
  readonly zstd: Zstd;
  /** for the caller: `frameSize` plain bytes */
  readonly plain = Buffer.allocUnsafeSlow(frameSize);
  readonly frame = Buffer.allocUnsafeSlow(compressBound(frameSize));

  constructor(level: number) {
    this.level = level;
    this.zstd = openZstd(level);
  }
}

export interface ObjectSealerOptions extends SealOptions {
  readonly workspace: SealWorkspace;
  /** bytes of the plain content */
  readonly size: number;
  /** an object is made for each of them, in their order; an empty one is not encrypted */
  readonly recipientSets: readonly (readonly string[])[];
  /** where the objects are made, if there is memory for them already; one that does not fit gets memory of its own */
  readonly memory?: readonly Uint8Array[] | undefined;
}

/** Memory that the stored form of `size` plain bytes always fits into: what does not compress, and a head for 50 recipients. */
export function sealedBound(size: number): number {
  const frames = Math.ceil(size / frameSize);
  return payloadSize(frames * compressBound(frameSize)) + 16 * 1024;
}

/**
 * Makes the stored form of something whose size is known, with its head, in one pass: the digest in the head is that of all
 * that follows, so room is left for the head and filled at the end. Compresses once, whoever it is encrypted to.
 */
export class ObjectSealer {
  readonly #options: ObjectSealerOptions;
  readonly #digest = newContentDigest();
  readonly #bodies: readonly Body[];
  #isEmpty = true;

  private constructor(options: ObjectSealerOptions, drafts: readonly (HeaderDraft | undefined)[]) {
    this.#options = options;
    const head = headOf(options, "0".repeat(64));
    this.#bodies = drafts.map((draft, index) => new Body(draft, head, options.memory?.[index]));
  }

  static async begin(options: ObjectSealerOptions): Promise<ObjectSealer> {
    const drafts: (HeaderDraft | undefined)[] = [];
    for (const set of options.recipientSets) drafts.push(set.length === 0 ? undefined : await draftHeader(set));
    return new ObjectSealer(options, drafts);
  }

  /** Takes the next `frameSize` bytes of the content; fewer only at its end. */
  write(plain: Uint8Array): void {
    const { zstd, frame } = this.#options.workspace;
    this.#digest.update(plain);
    const compressed = frame.subarray(0, zstd.compress(frame, plain));
    for (const body of this.#bodies) body.chunks.write(compressed);
    this.#isEmpty = false;
  }

  /** The objects, in their order, and the digest of the content. */
  end(): { readonly digest: string; readonly bodies: readonly Uint8Array[] } {
    if (this.#isEmpty) this.write(new Uint8Array()); // nothing at all is one empty frame
    const digest = this.#digest.hex();
    const head = headOf(this.#options, digest);
    return { digest, bodies: this.#bodies.map((body) => body.end(head)) };
  }
}

function headOf(options: ObjectSealerOptions, digest: string): ObjectHead {
  return { digest, size: options.size, writer: options.writer, written: options.now };
}

/** One object that is being written. */
class Body {
  readonly chunks: ChunkWriter;
  readonly #draft: HeaderDraft | undefined;
  #buffer: Buffer;
  #size: number;

  /** @param head of the same length as the one that comes at the end */
  constructor(draft: HeaderDraft | undefined, head: ObjectHead, memory: Uint8Array | undefined) {
    this.#draft = draft;
    this.#size = this.#front(head).length;
    // WAL compresses to a third; what is never touched takes no memory.
    this.#buffer =
      memory === undefined
        ? Buffer.allocUnsafeSlow(this.#size + (head.size >> 1) + compressBound(frameSize))
        : Buffer.from(memory.buffer, memory.byteOffset, memory.length);
    this.chunks = new ChunkWriter(draft?.key, (bytes) => this.#append(bytes));
  }

  end(head: ObjectHead): Uint8Array {
    this.chunks.end();
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
    copyBytes(this.#buffer, bytes, this.#size);
    this.#size = needed;
  }
}
