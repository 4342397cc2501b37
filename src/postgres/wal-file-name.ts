import { PgarkError } from "../errors.ts";
import { lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { formatTimeline, timelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";

interface SegmentPosition {
  readonly name: string;
  readonly timeline: TimelineId;
  /** the middle eight digits: the upper half of the LSN */
  readonly log: number;
  /** the last eight digits: the number of the segment within `log` */
  readonly segment: number;
}

/** A name in `pg_wal`, taken apart as the macros of src/include/access/xlog_internal.h do. */
export type WalFileName =
  | ({ readonly kind: "segment" } & SegmentPosition)
  | ({ readonly kind: "partial" } & SegmentPosition)
  | { readonly kind: "history"; readonly name: string; readonly timeline: TimelineId }
  | ({
      readonly kind: "backup";
      /** byte within the segment where the backup began */ readonly offset: number;
    } & SegmentPosition);

const HEX8 = "([0-9A-F]{8})";
const SEGMENT = new RegExp(`^${HEX8}${HEX8}${HEX8}(?:(\\.partial)|\\.${HEX8}\\.backup)?$`);
const HISTORY = new RegExp(`^${HEX8}\\.history$`);

const MIN_SEGMENT_SIZE = 1024 * 1024;
const MAX_SEGMENT_SIZE = 1024 * 1024 * 1024;
const LOG_SIZE = 0x1_0000_0000;

/** Takes a bare file name apart, or returns undefined when PostgreSQL would not write such a name into `pg_wal`. */
export function parseWalFileName(name: string): WalFileName | undefined {
  const match = SEGMENT.exec(name);
  if (match === null) {
    const history = HISTORY.exec(name);
    const timeline = hex(history?.[1]);
    return history === null || timeline === 0 ? undefined : { kind: "history", name, timeline: timelineId(timeline) };
  }
  const timeline = hex(match[1]);
  if (timeline === 0) return undefined;
  const position = { name, timeline: timelineId(timeline), log: hex(match[2]), segment: hex(match[3]) };
  if (match[5] !== undefined) return { kind: "backup", ...position, offset: hex(match[5]) };
  return { kind: match[4] === undefined ? "segment" : "partial", ...position };
}

/** Whether PostgreSQL can be built or initialised with segments of `size` bytes: a power of two from 1 MiB to 1 GiB. */
export function isValidSegmentSize(size: number): boolean {
  return (
    Number.isInteger(size) && size >= MIN_SEGMENT_SIZE && size <= MAX_SEGMENT_SIZE && Number.isInteger(Math.log2(size))
  );
}

/** How many segments one value of the middle eight digits has (256 of 16 MiB). */
export function segmentsPerLog(segmentSize: number): number {
  return LOG_SIZE / segmentSize;
}

/**
 * The number of a segment from the beginning of WAL (XLogFromFileName). Throws `corrupt` when the last eight digits cannot
 * occur with segments of this size.
 */
export function segmentNumber(name: { readonly log: number; readonly segment: number }, segmentSize: number): bigint {
  const perLog = segmentsPerLog(segmentSize);
  if (name.segment >= perLog) {
    throw new PgarkError("corrupt", `no segment of ${segmentSize} bytes has this name`, {
      operation: "read WAL file name",
      object: `${hex8(name.log)}${hex8(name.segment)}`,
      hint: "check that the WAL segment size is this cluster's",
    });
  }
  return BigInt(name.log) * BigInt(perLog) + BigInt(name.segment);
}

/** The 24 digits of a segment (XLogFileName). */
export function segmentFileName(timeline: TimelineId, number: bigint, segmentSize: number): string {
  const perLog = BigInt(segmentsPerLog(segmentSize));
  return formatTimeline(timeline) + hex8(number / perLog) + hex8(number % perLog);
}

/** The segment that the byte at `position` lies in (XLByteToSeg). */
export function segmentNumberOfLsn(position: Lsn, segmentSize: number): bigint {
  return position / BigInt(segmentSize);
}

/**
 * The segment of the last byte before `position` (XLByteToPrevSeg): the last one needed to have all WAL up to an end point,
 * which on a segment boundary is the segment before. There is no byte before LSN 0, which answers 0.
 */
export function lastSegmentNumberBefore(position: Lsn, segmentSize: number): bigint {
  return position === 0n ? 0n : (position - 1n) / BigInt(segmentSize);
}

/** The position of a segment's first byte. */
export function segmentStart(number: bigint, segmentSize: number): Lsn {
  return lsn(number * BigInt(segmentSize));
}

function hex(digits: string | undefined): number {
  return Number.parseInt(digits ?? "", 16);
}

function hex8(value: number | bigint): string {
  return value.toString(16).toUpperCase().padStart(8, "0");
}
