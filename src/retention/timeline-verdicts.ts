import type { TimelineId } from "../postgres/timeline.ts";
import type { ChosenBackups } from "./choose-backups.ts";
import type { PartialVerdict, TimelineVerdict, WalVerdict } from "./retention-plan.ts";
import type { Survey } from "./survey.ts";
import type { Window } from "./window.ts";

/**
 * A timeline's history stays while anything that stays is on the timeline or came through it. And none goes from among those
 * that stay: a server that is promoted looks for the next free number by asking for one history after another, and would give
 * the number of a missing one to a second timeline.
 */
export function judgeTimelines(
  { paths }: Survey,
  window: Window,
  chosen: ChosenBackups,
  { wal, partials }: { readonly wal: readonly WalVerdict[]; readonly partials: readonly PartialVerdict[] },
): readonly TimelineVerdict[] {
  const holding = new Set<TimelineId>(window.paths.keys());
  for (const { timeline } of chosen.keys()) holding.add(timeline);
  for (const { timeline, verdict } of [...wal, ...partials]) if (verdict === "keep") holding.add(timeline);
  const lowest = Math.min(...holding);
  const passed = new Set<TimelineId>();
  for (const { timeline, path } of paths) {
    if (holding.has(timeline)) for (const leg of path.legs) passed.add(leg.timeline);
  }
  return paths.map(({ timeline }) => ({
    timeline,
    verdict: timeline >= lowest || passed.has(timeline) ? "keep" : "expire",
    inUse: window.paths.has(timeline),
  }));
}
