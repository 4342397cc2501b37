import type { WalPages, WalStop } from "./wal-pages.ts";
import { isSwitch, MAX_RECORD_LENGTH } from "./wal-record.ts";
import type { RecordHead } from "./wal-segment-check.ts";

/** As much of a record's end as may belong to its header: the first 8 bytes lie where the record begins. */
const MAX_HEADER_REST = 16;

export interface SegmentBeginning {
  /** the record that began before the segment, as far as it lies in it */
  readonly head: RecordHead | undefined;
  /** where the first record begins: the segment's size if none does */
  readonly position: number;
  /** what is wrong with the head, or with the first page's header */
  readonly stop: WalStop | undefined;
}

/** Reads a segment's first page header and, over as many pages as it takes, the rest of the record that began before. */
export function readBeginning(pages: WalPages): SegmentBeginning {
  const stop = pages.enter();
  const position = pages.contentsStart;
  if (stop !== undefined || !pages.continues) return { head: undefined, position, stop };
  const missing = pages.remaining;
  if (missing === 0 || missing > MAX_RECORD_LENGTH) {
    const reason = `the page at ${pages.at(0)} continues a record with ${missing} bytes`;
    return { head: undefined, position, stop: { kind: "continuation", position: 0, reason } };
  }
  return readHead(pages, missing);
}

function readHead(pages: WalPages, missing: number): SegmentBeginning {
  const from = pages.contentsStart;
  // copied, which a Buffer's slice() does not do: the segment's memory is the caller's
  const first = Uint8Array.from(pages.bytes.subarray(from, from + Math.min(missing, MAX_HEADER_REST)));
  let crc = 0;
  let rest = missing;
  const ends = (state: RecordHead["state"], position: number, stop?: WalStop): SegmentBeginning => {
    return { head: { missing, length: missing - rest, crc, first, state }, position, stop };
  };
  for (;;) {
    const { contentsStart } = pages;
    const end = Math.min(contentsStart + rest, pages.pageEnd);
    crc = pages.crc.update(contentsStart, end, crc);
    rest -= end - contentsStart;
    if (rest === 0) return ends("complete", (end + 7) & ~7);
    if (end === pages.size) return ends("continues", end);
    const stop = pages.enterWithin(rest);
    if (stop !== undefined) return ends("broken", end, stop);
    if (pages.overwrites) return ends("overwritten", pages.contentsStart);
  }
}

/**
 * Whether a record that ends in a segment's first 8 or 16 bytes may be a switch: a header alone, of which these bytes are the
 * end. Then nothing follows it, and only who knows its beginning can tell.
 */
export function mayEndSwitch({ state, missing, first }: RecordHead): boolean {
  if (state !== "complete" || (missing !== 8 && missing !== 16)) return false;
  return isSwitch(first[missing - 7] as number, first[missing - 8] as number);
}
