import { isPgarkError } from "../errors.ts";
import { RangeCrc32c } from "./crc32c.ts";
import { formatLsn, lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { isValidSegmentSize, segmentNumber, segmentStart } from "./wal-file-name.ts";
import { verifyWalSegment } from "./wal-header.ts";
import type { WalHeader } from "./wal-header.ts";
import { FIRST_PAGE_HEADER, PAGE_HEADER } from "./wal-record.ts";
import type { WalFault, WalFaultKind, WalSegmentInput } from "./wal-segment-check.ts";

/** The page begins with the rest of a record (XLP_FIRST_IS_CONTRECORD). */
const CONTINUES = 0x0001;
/** XLP_LONG_HEADER */
const LONG = 0x0002;
/** The record that the page before leaves open was given up; another begins here (XLP_FIRST_IS_OVERWRITE_CONTRECORD). */
const OVERWRITES = 0x0008;
/** Those, and XLP_BKP_REMOVABLE (0x0004), which says that full page images may be left out by who copies WAL. */
const ALL_FLAGS = 0x000f;

/** Where reading a segment came to a stop, and why: damage, or the end of WAL. Made once a segment, at the most. */
export interface WalStop {
  readonly kind: WalFaultKind;
  /** where in the segment */
  readonly position: number;
  /** names the place as an LSN */
  readonly reason: string;
}

/**
 * The pages of one segment: their headers checked as XLogReaderValidatePageHeader does, one after the other. Places are byte
 * offsets in the segment, so that nothing is allocated for them.
 */
export class WalPages {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly crc: RangeCrc32c;
  /** the LSN of the first byte */
  readonly start: Lsn;
  readonly majorVersion: number;
  readonly #magic: number;
  readonly #blockSize: number;
  readonly #startLow: number;
  readonly #startHigh: number;
  readonly #maxTimeline: number;

  /** where the page ends that was entered last */
  pageEnd = 0;
  /** where its contents begin */
  contentsStart = 0;
  /** of its header */
  timeline = 0;
  /** whether it begins with the rest of a record, and of how many bytes (xlp_rem_len) */
  continues = false;
  remaining = 0;
  /** whether it begins with a new record although the page before left one open */
  overwrites = false;

  constructor(bytes: Uint8Array, header: WalHeader, majorVersion: number, maxTimeline: number) {
    this.crc = new RangeCrc32c(bytes);
    this.bytes = this.crc.bytes;
    this.words = this.crc.words;
    this.start = header.pageAddress;
    this.majorVersion = majorVersion;
    this.#magic = header.magic;
    this.#blockSize = header.blockSize;
    this.#startLow = Number(BigInt.asIntN(32, this.start));
    this.#startHigh = Number(BigInt.asIntN(32, this.start >> 32n));
    this.#maxTimeline = maxTimeline;
  }

  get size(): number {
    return this.bytes.length;
  }

  /** The halves of an offset's LSN, as signed words. The upper one is the whole segment's. */
  lowWord(offset: number): number {
    return (this.#startLow + offset) | 0;
  }

  get highWord(): number {
    return this.#startHigh;
  }

  lsnOf(offset: number): Lsn {
    return lsn(this.start + BigInt(offset));
  }

  /** An offset's LSN as text. */
  at(offset: number): string {
    return formatLsn(this.lsnOf(offset));
  }

  /** Goes to the page behind the one entered last; at first, to the segment's first. Stays when its header is wrong. */
  enter(): WalStop | undefined {
    const offset = this.pageEnd;
    const word = offset >>> 2;
    const magicAndFlags = this.words[word] as number;
    const flags = magicAndFlags >>> 16;
    const timeline = (this.words[word + 1] as number) >>> 0;
    const fits =
      (magicAndFlags & 0xffff) === this.#magic &&
      (flags & ~ALL_FLAGS) === 0 &&
      ((flags & LONG) !== 0) === (offset === 0) &&
      this.#hasAddress(offset) &&
      timeline >= this.timeline &&
      timeline <= this.#maxTimeline;
    if (!fits) return this.#explain(offset);
    this.pageEnd = offset + this.#blockSize;
    this.contentsStart = offset + headerLength(offset);
    this.timeline = timeline;
    this.continues = (flags & CONTINUES) !== 0;
    this.overwrites = (flags & OVERWRITES) !== 0;
    this.remaining = (this.words[word + 4] as number) >>> 0;
    if (!this.continues || !this.overwrites) return undefined;
    return stopAt(offset, `the page at ${this.at(offset)} both continues and overwrites a record`);
  }

  /** Goes to the next page, in the middle of a record that lacks so many bytes. The page may overwrite it instead. */
  enterWithin(missing: number): WalStop | undefined {
    const offset = this.pageEnd;
    const stop = this.enter();
    if (stop !== undefined || this.overwrites) return stop;
    if (!this.continues) return stopAt(offset, `the page at ${this.at(offset)} does not continue the record before it`);
    if (this.remaining === missing) return undefined;
    const reason = `the page at ${this.at(offset)} continues a record with ${this.remaining} bytes that lacks ${missing}`;
    return stopAt(offset, reason);
  }

  /** Goes to the next page, where no record is left open. */
  enterBetween(): WalStop | undefined {
    const offset = this.pageEnd;
    const stop = this.enter();
    if (stop !== undefined || !this.continues) return stop;
    return stopAt(offset, `the page at ${this.at(offset)} continues a record where none was begun`);
  }

  /** Whether a page after the one entered last has this segment's address for its place: then WAL once went on to there. */
  goesOn(): boolean {
    for (let offset = this.pageEnd; offset < this.size; offset += this.#blockSize) {
      const magic = (this.words[offset >>> 2] as number) & 0xffff;
      if (magic === this.#magic && this.#hasAddress(offset)) return true;
    }
    return false;
  }

  /** The end of WAL, as a segment shows it that was not used before. */
  endAt(offset: number): WalStop {
    return { kind: "end", position: offset, reason: `WAL ends at ${this.at(offset)}: only zeros follow` };
  }

  /** Whether there are only zeros from `offset` to the end of its page. */
  isZeroFrom(offset: number): boolean {
    const pageEnd = offset - (offset % this.#blockSize) + this.#blockSize;
    return this.words.subarray(offset >>> 2, pageEnd >>> 2).every((word) => word === 0);
  }

  /** So many bytes of contents from `offset` on, at most to the segment's end, without the page headers in between. */
  contents(offset: number, length: number): Uint8Array {
    const inPage = this.#blockSize - (offset % this.#blockSize);
    if (length <= inPage) return this.bytes.subarray(offset, offset + length);
    const pieces: Uint8Array[] = [];
    let missing = length;
    for (let at = offset; missing > 0 && at < this.size;) {
      const pageEnd = at - (at % this.#blockSize) + this.#blockSize;
      const piece = this.bytes.subarray(at, Math.min(pageEnd, at + missing));
      pieces.push(piece);
      missing -= piece.length;
      at = pageEnd + headerLength(pageEnd);
    }
    return Buffer.concat(pieces);
  }

  #hasAddress(offset: number): boolean {
    const word = offset >>> 2;
    return this.words[word + 2] === this.lowWord(offset) && this.words[word + 3] === this.#startHigh;
  }

  #explain(offset: number): WalStop {
    if (this.isZeroFrom(offset) && !this.goesOn()) return this.endAt(offset);
    return { kind: "page", position: offset, reason: `the page at ${this.at(offset)} ${this.#problem(offset)}` };
  }

  #problem(offset: number): string {
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + offset, PAGE_HEADER);
    const magic = view.getUint16(0, true);
    const address = lsn(view.getBigUint64(8, true));
    const timeline = view.getUint32(4, true);
    if (this.isZeroFrom(offset)) return "is empty";
    if (magic !== this.#magic) return `begins with ${hex4(magic)}, not with ${hex4(this.#magic)}`;
    if (address !== this.lsnOf(offset)) return `has the address ${formatLsn(address)}`;
    if (timeline < this.timeline) return `is of timeline ${timeline}, after one of timeline ${this.timeline}`;
    if (timeline > this.#maxTimeline)
      return `is of timeline ${timeline}, later than its segment's ${this.#maxTimeline}`;
    return `has impossible flags (${hex4(view.getUint16(2, true))})`;
  }
}

/** The pages of a segment that is what its name says; else what is wrong with it. */
export function openWalPages({ name, bytes, identity }: WalSegmentInput): WalPages | WalFault {
  try {
    const header = verifyWalSegment({ name, bytes, identity });
    if (header.majorVersion !== undefined) return new WalPages(bytes, header, header.majorVersion, name.timeline);
    return segmentFault(
      { name, bytes },
      `its pages begin with ${hex4(header.magic)}: its version of PostgreSQL is not known`,
    );
  } catch (error) {
    if (isPgarkError(error)) return segmentFault({ name, bytes }, error.message);
    throw error;
  }
}

function segmentFault(input: Pick<WalSegmentInput, "name" | "bytes">, reason: string): WalFault {
  return { kind: "segment", record: undefined, position: startOf(input), reason };
}

/** Where a segment of this name begins; of a file of an impossible size, as if it were of the usual one. */
function startOf({ name, bytes }: Pick<WalSegmentInput, "name" | "bytes">): Lsn {
  const size = isValidSegmentSize(bytes.length) ? bytes.length : 16 << 20;
  try {
    return segmentStart(segmentNumber(name, size), size);
  } catch {
    return lsn(0n);
  }
}

function headerLength(offset: number): number {
  return offset === 0 ? FIRST_PAGE_HEADER : PAGE_HEADER;
}

function stopAt(position: number, reason: string): WalStop {
  return { kind: "continuation", position, reason };
}

function hex4(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, "0");
}
