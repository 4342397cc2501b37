import type { TimelineId } from "../postgres/timeline.ts";
import type { WalHole } from "./wal-holes.ts";

/**
 * What is left of `holes` without `parts`: segments of the first that are in none of the second. Holes come by timeline and
 * segment, without overlap; parts as they like. There may be thousands of each, so they are gone through side by side.
 */
export function cutOut(holes: readonly WalHole[], parts: readonly WalHole[]): readonly WalHole[] {
  const cuts = Map.groupBy(parts.toSorted(byFirst), ({ timeline }) => timeline);
  const begun = new Map<TimelineId, number>();
  return holes.flatMap((hole) => {
    const own = cuts.get(hole.timeline) ?? [];
    let index = begun.get(hole.timeline) ?? 0;
    while ((own[index]?.last ?? hole.first) < hole.first) index++;
    begun.set(hole.timeline, index);
    return leftOf(hole, own, index);
  });
}

/** @param index the first of `cuts`, which are in the order of their begin, that may reach into the hole */
function leftOf(hole: WalHole, cuts: readonly WalHole[], index: number): readonly WalHole[] {
  const left: WalHole[] = [];
  let { first } = hole;
  for (let cut = cuts[index]; cut !== undefined && cut.first <= hole.last; cut = cuts[++index]) {
    if (cut.first > first) left.push({ timeline: hole.timeline, first, last: cut.first - 1n });
    if (cut.last >= first) first = cut.last + 1n;
  }
  return first > hole.last ? left : [...left, { timeline: hole.timeline, first, last: hole.last }];
}

function byFirst(a: WalHole, b: WalHole): number {
  return a.first < b.first ? -1 : a.first > b.first ? 1 : 0;
}
