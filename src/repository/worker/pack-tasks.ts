import type { MessagePort } from "node:worker_threads";
import type { SealedHeader } from "../envelope/age-header.ts";
import type { SharedParts } from "./shared-parts.ts";

/** What goes into a pack, in order. */
export type PackEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | {
      readonly kind: "file";
      /** relative to PGDATA */
      readonly path: string;
      /** where it is read from */
      readonly source: string;
      /** the number of its first page within its relation, or undefined when it has no page checksums */
      readonly firstBlock: number | undefined;
    }
  | {
      readonly kind: "content";
      readonly path: string;
      readonly mode: number;
      readonly modifiedMs: number;
      readonly content: Uint8Array;
    };

export interface BuildPackTask {
  readonly entries: readonly PackEntry[];
  readonly header: SealedHeader | undefined;
  readonly level: number;
  readonly blockSize: number;
  /** bytes a second that this worker may read, or undefined for as fast as it can */
  readonly rate: number | undefined;
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly port: MessagePort;
}

export interface BuiltPack {
  readonly plainSize: number;
  readonly storedSize: number;
  /** of the stored bytes */
  readonly sha256: string;
  /** files only, without those that had vanished */
  readonly files: readonly PackedFile[];
}

export interface PackedFile {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
  readonly modifiedMs: number;
  readonly crc32c: number;
  /** of its first byte in the plain tar */
  readonly offset: number;
  readonly badPages: readonly number[];
}

/** Plain bytes that come in slots, to be compressed frame by frame into the slots of another memory. */
export interface CompressTask {
  readonly plain: SharedParts;
  readonly compressed: SharedParts;
  readonly level: number;
  readonly port: MessagePort;
}

/** A frame among those that lie one behind the other in a slot. */
export interface FrameSizes {
  readonly size: number;
  readonly plainSize: number;
}

export interface ExtractPackTask {
  readonly files: readonly ExtractFile[];
  readonly key: Uint8Array | undefined;
  /** stored bytes that come in parts */
  readonly storedSize: number;
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** A file to write; in the order of `offset`. */
export interface ExtractFile {
  /** for messages */
  readonly path: string;
  readonly target: string;
  readonly offset: number;
  readonly size: number;
  readonly mode: number;
  readonly crc32c: number;
}

/** Bytes and files done so far, added up over all workers. */
export class Counters {
  readonly #values: BigInt64Array;

  constructor(shared: SharedArrayBuffer) {
    this.#values = new BigInt64Array(shared);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(16);
  }

  addBytes(count: number): void {
    Atomics.add(this.#values, 0, BigInt(count));
  }

  addFile(): void {
    Atomics.add(this.#values, 1, 1n);
  }

  get bytes(): number {
    return Number(Atomics.load(this.#values, 0));
  }

  get files(): number {
    return Number(Atomics.load(this.#values, 1));
  }
}
