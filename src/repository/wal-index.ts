import type { TimelineId } from "../postgres/timeline.ts";
import type { Catalog, WalInterval } from "./catalog.ts";

/** The archive's intervals by timeline, ascending in each. */
export type WalIndex = ReadonlyMap<TimelineId, readonly WalInterval[]>;

export function indexWal(catalog: Catalog): WalIndex {
  const index = new Map<TimelineId, WalInterval[]>();
  for (const interval of catalog.wal) {
    const intervals = index.get(interval.timeline);
    if (intervals === undefined) index.set(interval.timeline, [interval]);
    else intervals.push(interval);
  }
  return index;
}

/** The interval that holds a segment, if it is there. */
export function intervalWith(wal: WalIndex, timeline: TimelineId, segment: bigint): WalInterval | undefined {
  const intervals = wal.get(timeline) ?? [];
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((intervals[middle]?.last ?? 0n) < segment) low = middle + 1;
    else high = middle;
  }
  const found = intervals[low];
  return found !== undefined && found.first <= segment ? found : undefined;
}
