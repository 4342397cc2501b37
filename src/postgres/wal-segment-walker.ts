import type { RangeCrc32c } from "./crc32c.ts";
import { formatLsn, lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { timelineId } from "./timeline.ts";
import type { WalPages, WalStop } from "./wal-pages.ts";
import { isResourceManager, isSwitch, MAX_RECORD_LENGTH, RECORD_HEADER, RecordView } from "./wal-record.ts";
import { mayEndSwitch, readBeginning } from "./wal-record-head.ts";
import type {
  OpenRecord,
  RecordHead,
  WalFault,
  WalFaultKind,
  WalSegmentCheck,
  WalSegmentInput,
  WalSegmentOutcome,
} from "./wal-segment-check.ts";

/** Bytes of a record's header before its CRC, which covers the rest of the record first and then these. */
const HEADER_BEFORE_CRC = 20;
/** The word of a record's header with its CRC. */
const CRC_WORD = 5;

/**
 * Walks the records of one segment: `next` until it says false, then `result`. It reads as XLogDecodeNextRecord does
 * (src/backend/access/transam/xlogreader.c), throws nothing, whatever the bytes are, and each step goes forward.
 */
export class WalSegmentWalker {
  /** the record that `next` has come to */
  readonly record: RecordView;
  /** the rest of a record that began before the segment */
  readonly head: RecordHead | undefined;
  readonly #pages: WalPages;
  readonly #input: WalSegmentInput;
  readonly #firstTimeline: number;
  readonly #overwrites: boolean;
  /** the header of a record that lies on two pages */
  readonly #splitHeader: RangeCrc32c;
  /** everything before it is whole; the next record begins here, or behind the header of the page that does */
  #position: number;
  /** the LSN that the next record must name as its predecessor, in words */
  #previousLow = 0;
  #previousHigh = 0;
  #previousKnown = false;
  /** the LSN that the record now read names */
  #namedLow = 0;
  #namedHigh = 0;
  #outcome: WalSegmentOutcome | undefined;
  #fault: WalFault | undefined;
  #faultUnlessSwitch: WalFault | undefined;
  #records = 0;
  #firstRecord: WalSegmentCheck["firstRecord"];
  #tail: OpenRecord | undefined;

  constructor(pages: WalPages, input: WalSegmentInput) {
    this.#pages = pages;
    this.#input = input;
    this.#splitHeader = pages.crc.over(new Uint8Array(RECORD_HEADER));
    this.record = new RecordView(pages.majorVersion, pages.start, (offset, length) => pages.contents(offset, length));
    const { head, position, stop } = readBeginning(pages);
    this.head = head;
    this.#position = position;
    this.#firstTimeline = pages.timeline;
    this.#overwrites = head === undefined && pages.overwrites;
    // a record that began before the segment is one that has to be whole, wherever in the segment WAL may end
    if (stop !== undefined) this.#stop(stop, undefined, head === undefined ? 0 : -1);
    else if (position === pages.size) this.#outcome = "full";
  }

  /** What the first record that begins here has to name as its predecessor. Without it, anything before the segment will do. */
  expectPrevious(previous: Lsn): void {
    this.#previousLow = Number(BigInt.asIntN(32, previous));
    this.#previousHigh = Number(BigInt.asIntN(32, previous >> 32n));
    this.#previousKnown = true;
  }

  /** Goes to the next record that begins and ends here, and checks it; false when there is none, and `result` says why. */
  next(): boolean {
    const pages = this.#pages;
    const words = pages.words;
    while (this.#outcome === undefined) {
      let at = this.#position;
      if (at === pages.pageEnd) {
        if (at === pages.size) return this.#end("full");
        const stop = pages.enterBetween();
        if (stop !== undefined) return this.#stop(stop, undefined);
        at = pages.contentsStart;
      }
      const word = at >>> 2;
      const total = words[word] as number;
      if (total < RECORD_HEADER || total > MAX_RECORD_LENGTH) return this.#badLength(at, total >>> 0);
      const end = at + total;
      if (end <= pages.pageEnd) {
        if (!this.#checkHeader(words, word, at)) return false;
        const crc = pages.crc.update(at + RECORD_HEADER, end, 0);
        if (pages.crc.update(at, at + HEADER_BEFORE_CRC, crc) !== words[word + CRC_WORD]) return this.#badChecksum(at);
        this.#position = (end + 7) & ~7;
      } else if (!this.#readAcrossPages(at, total)) {
        continue;
      }
      this.#accept(at, total);
      return true;
    }
    return false;
  }

  /** What became of the segment, once `next` has said false; before that, what is known so far. */
  result(): WalSegmentCheck {
    const pages = this.#pages;
    const toTheEnd = this.#outcome === "full" || this.#outcome === "switched";
    return {
      name: this.#input.name.name,
      outcome: this.#outcome ?? "full",
      fault: this.#fault,
      faultUnlessSwitch: this.#faultUnlessSwitch,
      start: pages.start,
      end: pages.lsnOf(pages.size),
      validUntil: pages.lsnOf(toTheEnd ? pages.size : this.#position),
      records: this.#records,
      head: this.head,
      firstRecord: this.#firstRecord,
      lastRecord: this.#records === 0 ? undefined : this.record.lsn,
      tail: this.#tail,
      overwrites: this.#overwrites,
      firstTimeline: timelineId(this.#firstTimeline),
      lastTimeline: timelineId(pages.timeline),
    };
  }

  /** A record that goes beyond its page. False when it does not end here: then there is an outcome, or another position. */
  #readAcrossPages(at: number, total: number): boolean {
    const pages = this.#pages;
    const header = this.#splitHeader;
    let headerLength = Math.min(pages.pageEnd - at, RECORD_HEADER);
    header.bytes.set(pages.bytes.subarray(at, at + headerLength));
    if (headerLength === RECORD_HEADER && !this.#checkHeader(header.words, 0, at)) return false;
    let crc = pages.crc.update(at + headerLength, pages.pageEnd, 0);
    let end = pages.pageEnd;
    let rest = total - (end - at);
    while (rest > 0) {
      if (end === pages.size) {
        const bytes = header.bytes.slice(0, headerLength);
        this.#tail = { lsn: pages.lsnOf(at), totalLength: total, length: total - rest, header: bytes, bodyCrc: crc };
        return this.#end("full");
      }
      const stop = pages.enterWithin(rest);
      if (stop !== undefined) return this.#stop(stop, at);
      let from = pages.contentsStart;
      if (pages.overwrites) {
        this.#position = from;
        return false;
      }
      end = Math.min(from + rest, pages.pageEnd);
      rest -= end - from;
      if (headerLength < RECORD_HEADER) {
        const split = from + RECORD_HEADER - headerLength;
        header.bytes.set(pages.bytes.subarray(from, split), headerLength);
        headerLength = RECORD_HEADER;
        if (!this.#checkHeader(header.words, 0, at)) return false;
        from = split;
      }
      crc = pages.crc.update(from, end, crc);
    }
    if (header.update(0, HEADER_BEFORE_CRC, crc) !== header.words[CRC_WORD]) return this.#badChecksum(at);
    this.#position = (end + 7) & ~7;
    return true;
  }

  /** Whether what a record's header says, but for length and CRC, is possible. */
  #checkHeader(words: Int32Array, word: number, at: number): boolean {
    const record = this.record;
    const kind = words[word + 4] as number;
    const resourceManager = (kind >>> 8) & 0xff;
    if (!isResourceManager(resourceManager, record.majorVersion)) {
      return this.#stopAt("resource-manager", at, `names resource manager ${resourceManager}, which there is not`);
    }
    const low = words[word + 2] as number;
    const high = words[word + 3] as number;
    const fits = this.#previousKnown
      ? low === this.#previousLow && high === this.#previousHigh
      : isBefore(high, low, this.#pages.highWord, this.#pages.lowWord(0));
    if (!fits) return this.#badPrevious(at, high, low);
    this.#namedLow = low;
    this.#namedHigh = high;
    record.xid = (words[word + 1] as number) >>> 0;
    record.info = kind & 0xff;
    record.resourceManager = resourceManager;
    return true;
  }

  #accept(at: number, total: number): void {
    const { record } = this;
    record.offset = at;
    record.totalLength = total;
    if (isSwitch(record.resourceManager, record.info)) {
      this.#position = this.#pages.size;
      this.#outcome = "switched";
    }
    record.nextOffset = this.#position;
    if (this.#records === 0) this.#firstRecord = { lsn: record.lsn, previous: lsnOf(this.#namedHigh, this.#namedLow) };
    this.#records++;
    this.#previousLow = this.#pages.lowWord(at);
    this.#previousHigh = this.#pages.highWord;
    this.#previousKnown = true;
  }

  #badLength(at: number, length: number): false {
    const pages = this.#pages;
    if (length === 0 && pages.isZeroFrom(at) && !pages.goesOn()) return this.#stop(pages.endAt(at), at);
    return this.#stopAt("length", at, `has the impossible length ${length}`);
  }

  #badPrevious(at: number, high: number, low: number): false {
    const named = formatLsn(lsnOf(high, low));
    const expected = this.#previousKnown
      ? formatLsn(lsnOf(this.#previousHigh, this.#previousLow))
      : `one before ${this.#pages.at(0)}`;
    return this.#stopAt("previous", at, `names ${named} as the record before it, not ${expected}`);
  }

  #badChecksum(at: number): false {
    return this.#stopAt("checksum", at, "does not have the checksum that it was written with");
  }

  #stopAt(kind: WalFaultKind, at: number, problem: string): false {
    return this.#stop({ kind, position: at, reason: `the record at ${this.#pages.at(at)} ${problem}` }, at);
  }

  /** Nothing can be read on. Whether that is damage depends on how far WAL has to be whole: before or after `begin`. */
  #stop({ kind, position, reason }: WalStop, record: number | undefined, begin = record ?? position): false {
    const pages = this.#pages;
    const recordLsn = record === undefined ? undefined : pages.lsnOf(record);
    const fault = { kind, record: recordLsn, position: pages.lsnOf(position), reason };
    if (this.#records === 0 && this.head !== undefined && mayEndSwitch(this.head)) {
      this.#faultUnlessSwitch = fault;
      return this.#end("switched");
    }
    if (this.#mayEndAt(begin)) return this.#end("ended");
    this.#fault = fault;
    return this.#end("damaged");
  }

  #mayEndAt(offset: number): boolean {
    const pages = this.#pages;
    const { name, wholeUntil = name.kind === "partial" ? "unknown" : undefined } = this.#input;
    if (wholeUntil === "unknown") return !pages.goesOn();
    return wholeUntil !== undefined && pages.lsnOf(offset) >= wholeUntil;
  }

  #end(outcome: WalSegmentOutcome): false {
    this.#outcome = outcome;
    return false;
  }
}

/** Whether one LSN is lower than another, both in signed words. */
function isBefore(high: number, low: number, otherHigh: number, otherLow: number): boolean {
  return high === otherHigh ? low >>> 0 < otherLow >>> 0 : high >>> 0 < otherHigh >>> 0;
}

function lsnOf(high: number, low: number): Lsn {
  return lsn((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}
