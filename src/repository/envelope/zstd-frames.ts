import { PgarkError } from "../../errors.ts";

/** RFC 8878. Frames are walked here so that each can be decompressed alone, whatever engine does it. */
const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const skippableMask = 0xfffffff0;
/** What pgark writes is far smaller; more is refused before memory is asked for. */
export const maxFramePlainSize = 8 * 1024 * 1024;

export interface ZstdFrame {
  readonly kind: "data" | "skippable";
  /** bytes of the frame as stored, header to checksum */
  readonly size: number;
  /** bytes that it decompresses to; 0 for a skippable one */
  readonly plainSize: number;
}

/**
 * The frame that begins at `offset`, or undefined when more bytes are needed: a data frame is whole in the buffer, a skippable
 * one may reach beyond it.
 * Throws `corrupt` for what is no zstd frame with its plain size in its header.
 */
export function readFrame(bytes: Uint8Array, offset: number): ZstdFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, bytes.length - offset);
  if (view.byteLength < 8) return undefined;
  const magic = view.getUint32(0, true);
  if ((magic & skippableMask) >>> 0 === skippableMagic) {
    return { kind: "skippable", size: 8 + view.getUint32(4, true), plainSize: 0 };
  }
  if (magic !== frameMagic) throw damaged("there is no zstd frame where one should begin");
  return readDataFrame(view);
}

function readDataFrame(view: DataView): ZstdFrame | undefined {
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  const sizeAt = 5 + (singleSegment ? 0 : 1) + dictionaryBytes;
  if (view.byteLength < sizeAt + sizeBytes) return undefined;
  const plainSize = readPlainSize(view, sizeAt, sizeBytes);
  if (plainSize > maxFramePlainSize) throw damaged("a frame is too large");
  let position = sizeAt + sizeBytes;
  for (let last = false; !last;) {
    if (view.byteLength < position + 3) return undefined;
    const block = view.getUint16(position, true) | (view.getUint8(position + 2) << 16);
    last = (block & 1) === 1;
    const type = (block >> 1) & 3;
    if (type === 3) throw damaged("a block is of an unknown type");
    position += 3 + (type === 1 ? 1 : block >> 3); // type 1 repeats one byte
  }
  const size = position + ((descriptor & 4) === 0 ? 0 : 4);
  return view.byteLength < size ? undefined : { kind: "data", size, plainSize };
}

function readPlainSize(view: DataView, at: number, bytes: number): number {
  switch (bytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    case 8:
      return Number(view.getBigUint64(at, true));
    default:
      throw damaged("a frame does not say its plain size");
  }
}

/** A skippable frame around `content`; `zstd -d` passes over it. */
export function skippableFrame(content: Uint8Array, variant = 0): Uint8Array {
  const frame = Buffer.alloc(8 + content.length);
  frame.writeUInt32LE(skippableMagic + variant, 0);
  frame.writeUInt32LE(content.length, 4);
  frame.set(content, 8);
  return frame;
}

/** The content of the skippable frame at the head of `bytes`, or undefined when there is none. */
export function readSkippableFrame(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if ((view.getUint32(0, true) & skippableMask) >>> 0 !== skippableMagic) return undefined;
  return bytes.subarray(8, 8 + view.getUint32(4, true));
}

/**
 * Writes the seek table of the "zstd seekable format" (contrib/seekable_format in zstd's sources): a skippable frame at the end that
 * lists each frame's stored and plain size, so that a range can be read alone. No checksums: the frames have their own.
 */
export class SeekTable {
  /** frames so far */
  count = 0;
  /** 8 bytes a frame, in the form they are stored in: a file of 1 TiB has 8 million frames */
  #entries = Buffer.alloc(8 * 64);

  add(size: number, plainSize: number): void {
    if (this.count * 8 === this.#entries.length) {
      this.#entries = Buffer.concat([this.#entries, Buffer.alloc(this.#entries.length)]);
    }
    this.#entries.writeUInt32LE(size, this.count * 8);
    this.#entries.writeUInt32LE(plainSize, this.count * 8 + 4);
    this.count++;
  }

  frame(): Uint8Array {
    const footer = Buffer.alloc(9);
    footer.writeUInt32LE(this.count, 0);
    footer.writeUInt32LE(0x8f92eab1, 5);
    return skippableFrame(Buffer.concat([this.#entries.subarray(0, this.count * 8), footer]), 0xe);
  }
}

function damaged(problem: string): PgarkError {
  return new PgarkError("corrupt", problem, { operation: "decompress" });
}
