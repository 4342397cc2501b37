import { crc32c } from "@node-rs/crc32";
import { lsn } from "../../src/postgres/lsn.ts";
import type { Lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { parseWalFileName, segmentFileName } from "../../src/postgres/wal-file-name.ts";
import type { WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";

const MiB = 1 << 20;

export interface WalBuilderOptions {
  readonly segmentSize?: number;
  readonly blockSize?: number;
  readonly timeline?: number;
  /** the number of the first segment */
  readonly firstSegment?: number;
  readonly magic?: number;
  /** what the first record names as its predecessor */
  readonly previous?: bigint;
}

export interface RecordHeader {
  readonly resourceManager?: number;
  readonly info?: number;
  readonly xid?: number;
  /** instead of the record before */
  readonly previous?: bigint;
}

export interface BuiltRecord {
  readonly lsn: bigint;
  /** header and all */
  readonly bytes: Buffer;
}

/** Writes WAL as PostgreSQL lays it out, record by record; written apart from what reads it. */
export class WalBuilder {
  readonly segmentSize: number;
  readonly blockSize: number;
  readonly timeline: number;
  readonly records: BuiltRecord[] = [];
  readonly #magic: number;
  readonly #firstSegment: number;
  #segments: Buffer[] = [];
  /** bytes from the beginning of the first segment */
  #position = 0;
  #previous: bigint;

  constructor(options: WalBuilderOptions = {}) {
    this.segmentSize = options.segmentSize ?? MiB;
    this.blockSize = options.blockSize ?? 8192;
    this.timeline = options.timeline ?? 1;
    this.#firstSegment = options.firstSegment ?? 5;
    this.#magic = options.magic ?? 0xd118;
    this.#previous = options.previous ?? this.start - 64n;
  }

  get start(): bigint {
    return BigInt(this.#firstSegment) * BigInt(this.segmentSize);
  }

  /** where the next record begins, or the page that it begins on */
  get position(): Lsn {
    return lsn(this.start + BigInt(this.#position));
  }

  /** Bytes that are left of the segment. */
  get left(): number {
    return this.segmentSize - (this.#position % this.segmentSize);
  }

  /** A record with `body` behind its header. */
  add(body: Uint8Array, header: RecordHeader = {}): bigint {
    if (this.#position % this.blockSize === 0) this.#beginPage(0, 0);
    const at = this.start + BigInt(this.#position);
    const bytes = this.#record(body, header);
    this.#write(bytes);
    this.records.push({ lsn: at, bytes });
    this.#previous = at;
    return at;
  }

  /** A record with `data` and no blocks. */
  addData(data: Uint8Array, header: RecordHeader = {}): bigint {
    return this.add(mainData(data), header);
  }

  /** Fills the segment with a record so that so many bytes, a multiple of eight, are left of it. */
  fillUntilLeft(left: number): void {
    if (this.#position % this.blockSize === 0) this.#beginPage(0, 0);
    const end = this.#position + this.left - left;
    let length = 0;
    for (let at = this.#position; at < end;) {
      const pageEnd = at - (at % this.blockSize) + this.blockSize;
      length += Math.min(pageEnd, end) - at;
      at = pageEnd + 24;
    }
    this.add(Buffer.alloc(length - 24, 0x5a));
  }

  /** A switch to the next segment. */
  switchSegment(): bigint {
    const at = this.add(Buffer.alloc(0), { resourceManager: 0, info: 0x40, xid: 0 });
    if (this.#position % this.segmentSize !== 0) this.#position += this.left;
    return at;
  }

  /** A record of which only so many pages came to disk, and the record that overwrote the rest after the crash. */
  overwrite(body: Uint8Array, pages = 1): bigint {
    if (this.#position % this.blockSize === 0) this.#beginPage(0, 0);
    const lost = this.start + BigInt(this.#position);
    this.#write(this.#record(body, {}), pages);
    this.#beginPage(0x8, 0);
    const data = Buffer.alloc(16);
    data.writeBigUInt64LE(lost);
    this.addData(data, { resourceManager: 0, info: 0xd0, xid: 0 });
    return lost;
  }

  /** A timeline that begins here. */
  fork(timeline: number): WalBuilder {
    const { segmentSize, blockSize } = this;
    const left = new WalBuilder({
      segmentSize,
      blockSize,
      timeline,
      firstSegment: this.#firstSegment,
      magic: this.#magic,
    });
    left.#segments = this.#segments.map((bytes) => Buffer.from(bytes));
    left.#position = this.#position;
    left.#previous = this.#previous;
    left.records.push(...this.records);
    return left;
  }

  /** Each segment under its name; their bytes are this builder's own. */
  segments(): WalSegmentInput[] {
    return this.#segments.map((bytes, index) => {
      const text = segmentFileName(timelineId(this.timeline), BigInt(this.#firstSegment + index), this.segmentSize);
      const name = parseWalFileName(text);
      if (name?.kind !== "segment") throw new Error(text);
      return { name, bytes };
    });
  }

  segment(index: number): WalSegmentInput {
    const segment = this.segments()[index];
    if (segment === undefined) throw new Error(`there is no segment ${index}`);
    return segment;
  }

  #record(body: Uint8Array, { resourceManager = 10, info = 0, xid = 700, previous }: RecordHeader): Buffer {
    const header = Buffer.alloc(24);
    header.writeUInt32LE(24 + body.length, 0);
    header.writeUInt32LE(xid, 4);
    header.writeBigUInt64LE(previous ?? this.#previous, 8);
    header.writeUInt8(info, 16);
    header.writeUInt8(resourceManager, 17);
    header.writeUInt32LE(crc32c(Buffer.concat([body, header.subarray(0, 20)])), 20);
    return Buffer.concat([header, body]);
  }

  #write(bytes: Uint8Array, pages = Infinity): void {
    let page = 1;
    for (let done = 0; done < bytes.length;) {
      if (this.#position % this.blockSize === 0) {
        if (page++ === pages) return;
        this.#beginPage(0x1, bytes.length - done);
      }
      const room = this.blockSize - (this.#position % this.blockSize);
      const piece = bytes.subarray(done, done + room);
      this.#current().set(piece, this.#position % this.segmentSize);
      done += piece.length;
      this.#position += piece.length;
    }
    this.#position = Math.ceil(this.#position / 8) * 8;
  }

  #beginPage(flags: number, remaining: number): void {
    const first = this.#position % this.segmentSize === 0;
    const at = this.#position % this.segmentSize;
    const page = this.#current();
    page.writeUInt16LE(this.#magic, at);
    page.writeUInt16LE(flags | (first ? 2 : 0), at + 2);
    page.writeUInt32LE(this.timeline, at + 4);
    page.writeBigUInt64LE(this.start + BigInt(this.#position), at + 8);
    page.writeUInt32LE(remaining, at + 16);
    if (first) {
      page.writeBigUInt64LE(7_500_000_000_000_000_000n, at + 24);
      page.writeUInt32LE(this.segmentSize, at + 32);
      page.writeUInt32LE(this.blockSize, at + 36);
    }
    this.#position += first ? 40 : 24;
  }

  #current(): Buffer {
    const index = Math.floor(this.#position / this.segmentSize);
    while (this.#segments.length <= index) this.#segments.push(Buffer.alloc(this.segmentSize));
    return this.#segments[index] as Buffer;
  }
}

/** A record's body that is main data alone. */
export function mainData(data: Uint8Array): Buffer {
  if (data.length < 256) return Buffer.concat([Buffer.from([255, data.length]), data]);
  const header = Buffer.alloc(5, 254);
  header.writeUInt32LE(data.length, 1);
  return Buffer.concat([header, data]);
}
