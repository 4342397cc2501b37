import type { ClusterIdentity } from "./cluster-identity.ts";
import type { Lsn } from "./lsn.ts";
import type { TimelineId } from "./timeline.ts";
import type { WalFileName } from "./wal-file-name.ts";

/** A whole segment, and what is known of it. */
export interface WalSegmentInput {
  readonly name: Extract<WalFileName, { readonly kind: "segment" | "partial" }>;
  /** the whole file */
  readonly bytes: Uint8Array;
  /** whose WAL it has to be; without it the segment may be any cluster's */
  readonly identity?: ClusterIdentity | undefined;
  /**
   * How far its WAL has to be whole. Unless said: to the segment's end, or, of a `.partial` file, "unknown". An LSN, such as
   * the switch point of a timeline: every record that begins before it; whatever follows counts for nothing. "unknown": WAL
   * may end anywhere, but a record that cannot be read, with pages of this WAL behind it, is damage.
   */
  readonly wholeUntil?: Lsn | "unknown" | undefined;
}

/** Why WAL cannot be read on. */
export interface WalFault {
  readonly kind: WalFaultKind;
  /** the record that cannot be read; undefined where none is known to begin */
  readonly record: Lsn | undefined;
  /** where it was seen: the record, or the page that is wrong */
  readonly position: Lsn;
  /** in words, lower case, without a full stop; names the place */
  readonly reason: string;
}

export type WalFaultKind =
  /** the file is not the segment that its name says, or of a version whose WAL this pgark cannot read */
  | "segment"
  /** a page header is not the one that belongs there */
  | "page"
  /** the rest of a record is not where, or as long as, it must be */
  | "continuation"
  /** an impossible length of a record */
  | "length"
  /** a resource manager that PostgreSQL does not have */
  | "resource-manager"
  /** the record does not name the one before it as its predecessor (xl_prev) */
  | "previous"
  /** the record's CRC does not hold */
  | "checksum"
  /** WAL ends, with nothing but zeros behind it, where it has to go on */
  | "end";

/**
 * What became of a segment that was read by itself: "full" (records up to its last byte, the last of which may go on in the
 * next segment), "switched" (a switch to the next segment leaves the rest unused), "ended" (WAL ends here, and may), "damaged".
 */
export type WalSegmentOutcome = "full" | "switched" | "ended" | "damaged";

/** All that one segment by itself can tell, small enough to hand from a worker thread to `joinWalSegment`. */
export interface WalSegmentCheck {
  readonly name: string;
  readonly outcome: WalSegmentOutcome;
  /** the first one, for nothing after it can be read; defined when damaged, and only then */
  readonly fault: WalFault | undefined;
  /**
   * Set when the head looks like the end of a switch record, which leaves the rest of the segment unused: what is wrong with
   * the segment if it is none. The segment before decides it; `joinWalSegment` asks it.
   */
  readonly faultUnlessSwitch: WalFault | undefined;
  /** the LSN of the segment's first byte */
  readonly start: Lsn;
  /** the LSN of the next segment's first byte */
  readonly end: Lsn;
  /** everything before it was read and holds, as far as this segment can tell */
  readonly validUntil: Lsn;
  /** how many whole records begin, and end, in this segment */
  readonly records: number;
  /** the part of a record that began in an earlier segment */
  readonly head: RecordHead | undefined;
  /** the first of the whole records */
  readonly firstRecord: { readonly lsn: Lsn; readonly previous: Lsn } | undefined;
  /** the last of the whole records */
  readonly lastRecord: Lsn | undefined;
  /** the part of a record that goes on in the next segment */
  readonly tail: OpenRecord | undefined;
  /** the first page says that the record left open by the segment before was given up and overwritten after a crash */
  readonly overwrites: boolean;
  /** of the first and of the last page that were read; the first may be an ancestor of the segment's own */
  readonly firstTimeline: TimelineId | undefined;
  readonly lastTimeline: TimelineId | undefined;
}

/** The first bytes of a segment, when they belong to a record that began before it. */
export interface RecordHead {
  /** bytes that the record lacked at the end of the segment before */
  readonly missing: number;
  /** how many of them are here */
  readonly length: number;
  /** CRC-32C of those, as a signed integer */
  readonly crc: number;
  /** the first of them, 16 at most: the record's header may end in them */
  readonly first: Uint8Array;
  /** whether the record ends here, goes on in the next segment, was given up and overwritten, or cannot be read on */
  readonly state: "complete" | "continues" | "overwritten" | "broken";
}

/** A record whose end was not reached. */
export interface OpenRecord {
  readonly lsn: Lsn;
  /** bytes of the whole record (xl_tot_len) */
  readonly totalLength: number;
  /** how many of them were read */
  readonly length: number;
  /** its 24 header bytes, or as many of them as were read */
  readonly header: Uint8Array;
  /** CRC-32C of what was read behind the header, as a signed integer */
  readonly bodyCrc: number;
}
