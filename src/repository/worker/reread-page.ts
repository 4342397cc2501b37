import { findBadPages } from "../../postgres/page-checksum.ts";

/** A bad page is read again this often, this far apart, before it is believed: the server may be writing it. */
const rereads = 5;
const rereadWaitMs = 20;

export interface PageReader {
  /** fills `page` from the file; how many bytes there were */
  readonly read: (page: Uint8Array) => number;
  readonly pause: (milliseconds: number) => void;
}

/** Reads a page again until its checksum holds; `page` is left as it was read last. False for one that stays bad. */
export function rereadUntilGood(page: Uint8Array, block: number, { read, pause }: PageReader): boolean {
  for (let attempt = 0; attempt < rereads; attempt++) {
    pause(rereadWaitMs);
    // Gone by now: the file was truncated, and WAL replay will do the same. What was read of it is no page.
    if (read(page) < page.length) {
      page.fill(0);
      return true;
    }
    if (findBadPages(page, page.length, block, page.length).length === 0) return true;
  }
  return false;
}
