import { formatLsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { timelineId } from "../postgres/timeline.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { decodeRecord, encodeRecord } from "./records.ts";

/** What `begun.json` says of a backup that was begun. */
export interface BegunRecord {
  readonly label: string;
  /** who takes it */
  readonly host: string;
  /** by the server's clock */
  readonly begun: Date;
  /**
   * No WAL before this position will be needed by it, on whatever timeline. Undefined in markers of pgark before it wrote
   * signs of life, too.
   */
  readonly walFrom: WalFrom | undefined;
}

export interface WalFrom {
  readonly timeline: TimelineId;
  readonly lsn: Lsn;
}

export function encodeBegunRecord({ label, host, begun, walFrom }: BegunRecord): Uint8Array {
  return encodeRecord({
    kind: "pgark backup begun",
    label,
    host,
    begun: begun.toISOString(),
    walFrom: walFrom === undefined ? null : { timeline: walFrom.timeline, lsn: formatLsn(walFrom.lsn) },
  });
}

/** Reads `begun.json`; throws `corrupt` or `newer-format`. */
export function decodeBegunRecord(key: string, bytes: Uint8Array): BegunRecord {
  const fields = decodeRecord(key, bytes);
  const walFrom = fields.has("walFrom") ? fields.record("walFrom") : undefined;
  return {
    label: fields.string("label"),
    host: fields.string("host"),
    begun: fields.date("begun"),
    walFrom:
      walFrom === undefined ? undefined : { timeline: timelineId(walFrom.number("timeline")), lsn: walFrom.lsn("lsn") },
  };
}
