import { mapConcurrently } from "../concurrency.ts";
import { segmentsPerLog } from "../postgres/wal-file-name.ts";
import type { Catalog } from "../repository/catalog.ts";
import type { Repository } from "../repository/repository.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { listRange } from "./list-range.ts";
import { countSegments } from "./wal-range.ts";
import type { WalRange } from "./wal-range.ts";

/** More segments than that are not all looked at: a plan is to be there at once. */
const mostLookedAt = 50_000n;
/** Segments looked at together, at so many places, spread evenly. */
const sampleLength = 100n;
const concurrency = 8;

export interface WalMeasure {
  readonly segments: number;
  /** as stored */
  readonly bytes: number;
  /** the bytes were reckoned from a sample */
  readonly estimated: boolean;
}

/** How many bytes the segments of ranges take. */
export async function measureWal(
  repository: Repository,
  life: Pick<Catalog, "identity" | "walSegmentSize">,
  ranges: readonly WalRange[],
  options: SignalOption,
): Promise<WalMeasure> {
  const segments = countSegments(ranges);
  const estimated = BigInt(segments) > mostLookedAt;
  const looked = estimated ? samplesOf(ranges, BigInt(segmentsPerLog(life.walSegmentSize))) : ranges;
  const sums = await mapConcurrently(looked, concurrency, async (range) => {
    let bytes = 0;
    for await (const { object } of listRange(repository, life, range, options)) bytes += object.size;
    return bytes;
  });
  const bytes = sums.reduce((sum, next) => sum + next, 0);
  if (!estimated) return { segments, bytes, estimated };
  return { segments, bytes: Math.round((bytes / countSegments(looked)) * segments), estimated };
}

/**
 * Parts of the ranges, at most `mostLookedAt` segments in all, as far apart from each other as they can be. None reaches into
 * a second log folder, or all folders of its timeline would be looked through for it.
 */
function samplesOf(ranges: readonly WalRange[], perLog: bigint): readonly WalRange[] {
  const step = (BigInt(countSegments(ranges)) * sampleLength) / mostLookedAt;
  return ranges.flatMap((range) => {
    const samples: WalRange[] = [];
    for (let first = range.first; first <= range.last; first += step) {
      const left = perLog - (first % perLog);
      const last = first + (left < sampleLength ? left : sampleLength) - 1n;
      samples.push({ ...range, first, last: last < range.last ? last : range.last });
    }
    return samples;
  });
}
