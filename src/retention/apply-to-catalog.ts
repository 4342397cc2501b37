import type { TimelineId } from "../postgres/timeline.ts";
import type { Catalog, WalInterval } from "../repository/catalog.ts";
import type { RetentionPlan } from "./retention-plan.ts";

/**
 * What the catalog will be when all that the plan lets go is gone: for the recovery window afterwards. Where an interval is cut,
 * when its new last segment was archived is not in the catalog; then `archivedAt` is a moment that it is not older than.
 */
export function applyToCatalog(catalog: Catalog, plan: RetentionPlan): Catalog {
  const gone = new Set<TimelineId>(
    plan.timelines.filter(({ verdict }) => verdict === "expire").map(({ timeline }) => timeline),
  );
  return {
    ...catalog,
    backups: plan.backups.filter(({ verdict }) => verdict === "keep").map(({ record }) => record),
    histories: new Map([...catalog.histories].filter(([timeline]) => !gone.has(timeline))),
    wal: keptIntervals(plan),
    partials: plan.partials
      .filter(({ verdict }) => verdict === "keep")
      .map(({ timeline, segment }) => ({ timeline, segment })),
  };
}

/** Neighbours that stay for different reasons are one interval again. */
function keptIntervals({ wal }: RetentionPlan): readonly WalInterval[] {
  const kept: WalInterval[] = [];
  for (const { timeline, first, last, archivedAt, verdict } of wal) {
    if (verdict === "expire") continue;
    const previous = kept.at(-1);
    if (previous?.timeline === timeline && previous.last + 1n === first) {
      kept[kept.length - 1] = { timeline, first: previous.first, last, archivedAt };
    } else kept.push({ timeline, first, last, archivedAt });
  }
  return kept;
}
