import type { Lsn } from "./lsn.ts";
import { followOpenRecord, joinWalSegment } from "./wal-chain.ts";
import type { WalChain } from "./wal-chain.ts";
import { openWalPages, WalPages } from "./wal-pages.ts";
import { FIRST_PAGE_HEADER, isSwitch, RECORD_HEADER, RecordView, RM_XACT, RM_XLOG } from "./wal-record.ts";
import type { WalRecord } from "./wal-record.ts";
import type { OpenRecord, WalFault, WalSegmentCheck, WalSegmentInput, WalSegmentOutcome } from "./wal-segment-check.ts";
import { WalSegmentWalker } from "./wal-segment-walker.ts";

/** Called for each record, in the order of WAL. What it is given must not be kept. "stop" ends the reading. */
export type VisitRecord = (record: WalRecord) => "stop" | void;

export interface WalReading {
  /** as in `WalSegmentCheck`; "stopped" when the visitor wanted no more */
  readonly outcome: WalSegmentOutcome | "stopped";
  /** in this segment, or between it and the one before; defined when damaged, and only then */
  readonly fault: WalFault | undefined;
  /** everything before it was read and holds */
  readonly validUntil: Lsn;
}

/**
 * Reads the records of consecutive segments, each checked before it is visited. Records that cross into another segment are
 * visited where they end; of those, only the contents of transactions' and WAL's own records (RM_XACT, RM_XLOG) are kept. A
 * segment that does not follow the one before begins anew, with the first record that begins in it.
 */
export class WalRecordReader {
  #chain: WalChain | undefined;
  /** what the open record has so far */
  #pieces: Uint8Array[] = [];

  /** The visitor is called for the records that end in this segment, until damage or the end of WAL. */
  read(input: WalSegmentInput, visit: VisitRecord): WalReading {
    const pages = openWalPages(input);
    if (!(pages instanceof WalPages)) {
      this.#chain = undefined;
      return { outcome: "damaged", fault: pages, validUntil: pages.position };
    }
    const walker = new WalSegmentWalker(pages, input);
    const chain = this.#chain?.end === pages.start ? this.#chain : undefined;
    const followed = chain === undefined ? {} : followOpenRecord(chain, walker.result());
    const last = followed.completed?.lsn ?? chain?.lastRecord;
    if (last !== undefined) walker.expectPrevious(last);

    let stopped = false;
    if (followed.completed !== undefined) {
      stopped = visit(this.#crossingRecord(followed.completed, pages, walker)) === "stop";
    }
    while (!stopped && followed.fault === undefined && walker.next()) stopped = visit(walker.record) === "stop";

    const check = walker.result();
    if (stopped) {
      this.#chain = undefined;
      return { outcome: "stopped", fault: undefined, validUntil: check.validUntil };
    }
    const joined = joinWalSegment(chain, check);
    this.#chain = joined.chain;
    this.#keepPieces(pages, check);
    if (joined.fault === undefined) return check;
    return { outcome: "damaged", fault: joined.fault, validUntil: joined.fault.record ?? joined.fault.position };
  }

  /** A record that began in an earlier segment and ends in this one. */
  #crossingRecord(completed: OpenRecord, pages: WalPages, walker: WalSegmentWalker): WalRecord {
    const rest = pages.contents(FIRST_PAGE_HEADER, walker.head?.length ?? 0);
    const contents = this.#pieces.length === 0 ? undefined : Buffer.concat([...this.#pieces, rest]);
    const header = new DataView(completed.header.buffer, completed.header.byteOffset, RECORD_HEADER);
    const record = new RecordView(pages.majorVersion, completed.lsn, () => contents);
    record.xid = header.getUint32(4, true);
    record.info = header.getUint8(16);
    record.resourceManager = header.getUint8(17);
    record.totalLength = completed.totalLength;
    const end = isSwitch(record.resourceManager, record.info) ? pages.lsnOf(pages.size) : walker.result().validUntil;
    record.nextOffset = Number(end - completed.lsn);
    return record;
  }

  /** Copies what this segment has of the record that goes on in the next one, for the segment's buffer may be used again. */
  #keepPieces(pages: WalPages, { head, tail }: WalSegmentCheck): void {
    const open = this.#chain?.open;
    const begun = tail === undefined ? this.#pieces : [];
    this.#pieces = [];
    if (open === undefined || open === "unknown" || !isKept(open)) return;
    const [offset, length] =
      tail === undefined ? [FIRST_PAGE_HEADER, head?.length ?? 0] : [Number(tail.lsn - pages.start), tail.length];
    this.#pieces = [...begun, Uint8Array.from(pages.contents(offset, length))];
  }
}

/** Others may be as large as a transaction cares to make them, and nobody asks for them. */
function isKept({ header }: OpenRecord): boolean {
  return header.length < RECORD_HEADER || header[17] === RM_XACT || header[17] === RM_XLOG;
}
