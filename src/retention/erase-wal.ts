import { formatTimeline } from "../postgres/timeline.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { parseWalFileName, segmentFileName, segmentNumber } from "../postgres/wal-file-name.ts";
import type { Catalog } from "../repository/catalog.ts";
import { sealedSuffix, walFolder, walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import type { ObjectInfo, SignalOption } from "../storage/object-store.ts";
import { eraseBatch } from "./eraser.ts";
import type { Eraser } from "./eraser.ts";
import type { LateBackups } from "./late-backups.ts";
import { listRange } from "./list-range.ts";
import type { ListedSegment } from "./list-range.ts";
import type { WalRange } from "./wal-range.ts";

export interface EraseWalOptions extends SignalOption {
  readonly repository: Repository;
  readonly life: Pick<Catalog, "identity" | "walSegmentSize">;
  readonly eraser: Eraser;
  readonly lateBackups: LateBackups;
}

export interface ErasedWal {
  /** segments that are gone */
  readonly segments: number;
  /** segments that stayed because a backup was begun meanwhile that may need them */
  readonly spared: number;
}

/** Deletes the segments of ranges, oldest first, a batch in memory. */
export async function eraseWal(ranges: readonly WalRange[], options: EraseWalOptions): Promise<ErasedWal> {
  const { repository, life, signal } = options;
  let segments = 0;
  let spared = 0;
  for (const range of ranges) {
    for await (const batch of inBatches(listRange(repository, life, range, { signal }))) {
      const first = await options.lateBackups.firstNeeded({ signal });
      const free = first === undefined ? batch : batch.filter(({ segment }) => segment < first);
      const stayed = await options.eraser.erase(free.map(({ object }) => object));
      segments += free.length - stayed.length;
      spared += batch.length - free.length;
    }
  }
  return { segments, spared };
}

async function* inBatches(listed: AsyncIterable<ListedSegment>): AsyncIterable<readonly ListedSegment[]> {
  let batch: ListedSegment[] = [];
  for await (const each of listed) {
    batch.push(each);
    if (batch.length < eraseBatch) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Deletes `.partial` segments. */
export async function erasePartials(
  partials: readonly { readonly timeline: TimelineId; readonly segment: bigint }[],
  { repository, life, eraser }: EraseWalOptions,
): Promise<void> {
  const keys = partials.map(({ timeline, segment }) => {
    const name = `${segmentFileName(timeline, segment, life.walSegmentSize)}.partial`;
    return walKey(repository.cluster, life.identity, name, repository.encrypted);
  });
  await eraser.eraseKeys(keys);
}

/**
 * Deletes the backup history files of a timeline that `isWanted` does not want. They say where a backup began, to people; nothing
 * needs them.
 */
export async function eraseBackupFiles(
  timeline: TimelineId,
  isWanted: (segment: bigint) => boolean,
  options: EraseWalOptions,
): Promise<void> {
  await options.eraser.erase(listBackupFiles(timeline, isWanted, options));
}

async function* listBackupFiles(
  timeline: TimelineId,
  isWanted: (segment: bigint) => boolean,
  { repository, life, signal }: EraseWalOptions,
): AsyncIterable<ObjectInfo> {
  const suffix = sealedSuffix(repository.encrypted);
  const name = formatTimeline(timeline);
  const folder = `${walFolder(repository.cluster, life.identity)}${name}/`;
  // In the timeline's own folder their names begin with its digits once more; so only one log folder can be among them.
  for await (const object of repository.store.list(`${folder}${name}`, { signal })) {
    const file = object.key.slice(folder.length);
    const parsed = file.endsWith(suffix) ? parseWalFileName(file.slice(0, -suffix.length)) : undefined;
    if (parsed?.kind !== "backup" || isWanted(segmentNumber(parsed, life.walSegmentSize))) continue;
    yield object;
  }
}
