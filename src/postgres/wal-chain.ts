import { crc32c } from "@node-rs/crc32";
import { joinCrc32c, restCrc32c } from "./crc32c.ts";
import { formatLsn, lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { TimelineId } from "./timeline.ts";
import { isSwitch, RECORD_HEADER } from "./wal-record.ts";
import type { OpenRecord, RecordHead, WalFault, WalSegmentCheck } from "./wal-segment-check.ts";

/** What WAL up to the end of a segment asks of the next one. */
export interface WalChain {
  /** where the next segment begins */
  readonly end: Lsn;
  /** of the last page; the next one's cannot be older */
  readonly timeline: TimelineId;
  /** the last whole record; undefined while only parts of records were seen */
  readonly lastRecord: Lsn | undefined;
  /** the record that goes on in the next segment; "unknown" when its beginning was not seen */
  readonly open: OpenRecord | "unknown" | undefined;
}

export interface JoinedSegment {
  /** what to hold the next segment against; undefined after damage, and where WAL ends: the next is read by itself */
  readonly chain: WalChain | undefined;
  /** what is wrong between this segment and those before; what is wrong within it, its check says */
  readonly fault: WalFault | undefined;
}

/**
 * Joins a segment, checked by itself, to the WAL before it: checks the record that crosses into it, and that its first record
 * follows their last one. Segments come in the order of WAL, along one path through the timelines: at a switch point, the
 * new timeline's segment comes instead of the old one's. With no chain, or one that ends elsewhere, a new one begins.
 */
export function joinWalSegment(chain: WalChain | undefined, check: WalSegmentCheck): JoinedSegment {
  if (chain === undefined || chain.end !== check.start || check.fault?.kind === "segment") {
    return { chain: chainAfter(check, undefined, check.head && "unknown"), fault: undefined };
  }
  const crossing = followOpenRecord(chain, check);
  const last = crossing.completed?.lsn ?? chain.lastRecord;
  const fault =
    crossing.fault ??
    (isSwitchRecord(crossing.completed) ? undefined : check.faultUnlessSwitch) ??
    timelineFault(chain, check) ??
    firstRecordFault(last, check);
  return { chain: fault === undefined ? chainAfter(check, last, crossing.open) : undefined, fault };
}

function chainAfter(check: WalSegmentCheck, last: Lsn | undefined, open: WalChain["open"]): WalChain | undefined {
  if (check.lastTimeline === undefined || (check.outcome !== "full" && check.outcome !== "switched")) return undefined;
  const goesOn = check.head?.state === "continues";
  return {
    end: check.end,
    timeline: check.lastTimeline,
    lastRecord: check.lastRecord ?? last,
    open: check.tail ?? (goesOn ? open : undefined),
  };
}

export interface FollowedRecord {
  /** the record that was open, if it ends in this segment and holds */
  readonly completed?: OpenRecord;
  /** the record, if it goes on in the next segment */
  readonly open?: WalChain["open"];
  readonly fault?: WalFault;
}

/** What becomes, in the segment that follows, of the record that a chain leaves open. */
export function followOpenRecord(
  { open, lastRecord }: WalChain,
  { name, start, head, overwrites }: Pick<WalSegmentCheck, "name" | "start" | "head" | "overwrites">,
): FollowedRecord {
  if (open === "unknown") return head?.state === "continues" ? { open } : {};
  if (open === undefined) {
    if (head === undefined) return {};
    const reason = `the page at ${formatLsn(start)} continues a record where none was begun`;
    return { fault: { kind: "continuation", record: undefined, position: start, reason } };
  }
  if (head === undefined) {
    return overwrites ? {} : { fault: recordFault("continuation", open, start, `is not continued in ${name}`) };
  }
  const missing = open.totalLength - open.length;
  if (head.missing !== missing) {
    const problem = `lacks ${missing} bytes and is continued with ${head.missing}`;
    return { fault: recordFault("continuation", open, start, problem) };
  }
  if (head.state === "continues") return { open: extend(open, head) };
  if (head.state !== "complete") return {};
  const completed = extend(open, head);
  const fault = checkCompleted(completed, lastRecord, start);
  return fault === undefined ? { completed } : { fault };
}

/** The open record with what a segment has of it. */
function extend(open: OpenRecord, { crc, length, first }: RecordHead): OpenRecord {
  const lacking = RECORD_HEADER - open.header.length;
  const headerRest = first.subarray(0, lacking);
  const bodyLength = length - headerRest.length;
  const bodyCrc = lacking === 0 ? crc : restCrc32c(crc, crc32c(headerRest) | 0, bodyLength);
  return {
    lsn: open.lsn,
    totalLength: open.totalLength,
    length: open.length + length,
    header: lacking === 0 ? open.header : Buffer.concat([open.header, headerRest]),
    bodyCrc: joinCrc32c(open.bodyCrc, bodyCrc, bodyLength),
  };
}

function checkCompleted(record: OpenRecord, previous: Lsn | undefined, position: Lsn): WalFault | undefined {
  const header = new DataView(record.header.buffer, record.header.byteOffset, RECORD_HEADER);
  const named = lsn(header.getBigUint64(8, true));
  if (previous === undefined ? named >= record.lsn : named !== previous) {
    return recordFault("previous", record, position, `names ${formatLsn(named)} as the record before it`);
  }
  const crc = crc32c(record.header.subarray(0, 20), record.bodyCrc >>> 0);
  if (crc === header.getUint32(20, true)) return undefined;
  return recordFault("checksum", record, position, "does not have the checksum that it was written with");
}

function isSwitchRecord(record: OpenRecord | undefined): boolean {
  return record !== undefined && isSwitch(record.header[17] as number, record.header[16] as number);
}

function timelineFault(chain: WalChain, check: WalSegmentCheck): WalFault | undefined {
  if (check.firstTimeline === undefined || check.firstTimeline >= chain.timeline) return undefined;
  const reason = `the page at ${formatLsn(check.start)} is of timeline ${check.firstTimeline}, after one of timeline ${chain.timeline}`;
  return { kind: "page", record: undefined, position: check.start, reason };
}

function firstRecordFault(last: Lsn | undefined, { firstRecord }: WalSegmentCheck): WalFault | undefined {
  if (firstRecord === undefined || last === undefined || firstRecord.previous === last) return undefined;
  const named = formatLsn(firstRecord.previous);
  const reason = `the record at ${formatLsn(firstRecord.lsn)} names ${named} as the record before it, not ${formatLsn(last)}`;
  return { kind: "previous", record: firstRecord.lsn, position: firstRecord.lsn, reason };
}

function recordFault(kind: WalFault["kind"], record: OpenRecord, position: Lsn, problem: string): WalFault {
  return { kind, record: record.lsn, position, reason: `the record at ${formatLsn(record.lsn)} ${problem}` };
}
