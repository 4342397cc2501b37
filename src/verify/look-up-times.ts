import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError } from "../errors.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { Catalog, CatalogPart } from "../repository/catalog.ts";
import { walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import type { SignalOption } from "../storage/object-store.ts";

/** Requests under way at once, and how many are made at most: without its time a moment is told by its LSN alone. */
const concurrency = 16;
const mostLookUps = 1000;

/** When the last segments before those that cannot be used were archived: up to there, in time, something can be restored. */
export async function lookUpTimes(
  repository: Repository,
  catalog: Catalog,
  costs: readonly CatalogPart[],
  options: SignalOption,
): Promise<(timeline: TimelineId, segment: bigint) => Date | undefined> {
  const wanted = new Map<string, readonly [TimelineId, bigint]>();
  for (const part of costs) {
    if (part.kind !== "segments" || wanted.size >= mostLookUps) continue;
    const before = part.first - 1n;
    const isThere = catalog.wal.some(
      ({ timeline, first, last }) => timeline === part.timeline && first <= before && before <= last,
    );
    if (isThere) wanted.set(`${part.timeline}:${before}`, [part.timeline, before]);
  }
  const found = await mapConcurrently([...wanted], concurrency, async ([place, [timeline, segment]]) => {
    const name = segmentFileName(timeline, segment, catalog.walSegmentSize);
    try {
      const key = walKey(repository.cluster, catalog.identity, name, repository.encrypted);
      return [place, (await repository.store.head(key, options)).modified] as const;
    } catch (error) {
      if (!isPgarkError(error) || error.code === "aborted") throw error;
      return undefined;
    }
  });
  const times = new Map(found.filter((time) => time !== undefined));
  return (timeline, segment) => times.get(`${timeline}:${segment}`);
}
