import { parseWalFileName, segmentFileName, segmentNumber, segmentsPerLog } from "../postgres/wal-file-name.ts";
import type { Catalog } from "../repository/catalog.ts";
import { sealedSuffix, walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import type { ObjectInfo, SignalOption } from "../storage/object-store.ts";
import type { WalRange } from "./wal-range.ts";

export interface ListedSegment {
  readonly segment: bigint;
  readonly object: ObjectInfo;
}

/** The segments of a range that are there, in order. Holds one page of the store's list. */
export async function* listRange(
  repository: Repository,
  life: Pick<Catalog, "identity" | "walSegmentSize">,
  { timeline, first, last }: WalRange,
  { signal }: SignalOption,
): AsyncIterable<ListedSegment> {
  const { store, cluster, encrypted } = repository;
  const perLog = BigInt(segmentsPerLog(life.walSegmentSize));
  const suffix = sealedSuffix(encrypted);
  const firstKey = walKey(cluster, life.identity, segmentFileName(timeline, first, life.walSegmentSize), encrypted);
  const inLog = firstKey.length - suffix.length - "000000000000000000000000".length;
  // A range within one log folder needs no other to be looked at.
  const sameLog = first / perLog === last / perLog;
  const folder = firstKey.slice(0, sameLog ? inLog : inLog - "00000000/".length);
  // The key without its ending sorts right before it.
  const startAfter = firstKey.slice(0, -suffix.length);
  for await (const object of store.list(folder, { signal, startAfter })) {
    const file = object.key.slice(object.key.lastIndexOf("/") + 1);
    const name = file.endsWith(suffix) ? parseWalFileName(file.slice(0, -suffix.length)) : undefined;
    if (name?.kind !== "segment" || walKey(cluster, life.identity, name.name, encrypted) !== object.key) continue;
    const segment = segmentNumber(name, life.walSegmentSize);
    if (segment > last) return;
    yield { segment, object };
  }
}
