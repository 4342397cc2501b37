import type { Log, OnProgress } from "../log.ts";
import { formatTimeline } from "../postgres/timeline.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { Catalog } from "../repository/catalog.ts";
import { walKey } from "../repository/layout.ts";
import type { Lease } from "../repository/lease.ts";
import type { Repository } from "../repository/repository.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { eraseBackups, sweepAbandoned } from "./erase-backups.ts";
import type { DoomedBackup, StayedBackup } from "./erase-backups.ts";
import { eraseBackupFiles, erasePartials, eraseWal } from "./erase-wal.ts";
import { Eraser } from "./eraser.ts";
import type { Erased, Stayed } from "./eraser.ts";
import { LateBackups } from "./late-backups.ts";
import { sweepLeftovers } from "./sweep-leftovers.ts";
import { subtractRanges } from "./wal-range.ts";
import type { WalRange } from "./wal-range.ts";

/** What is to be deleted of one life of a cluster. */
export interface Deletion {
  readonly life: Pick<Catalog, "identity" | "walSegmentSize">;
  /** complete backups */
  readonly backups: readonly DoomedBackup[];
  /** labels of folders without a record that nobody seems to be at work on */
  readonly abandoned: readonly string[];
  readonly wal: readonly WalRange[];
  readonly partials: readonly { readonly timeline: TimelineId; readonly segment: bigint }[];
  /** timelines whose `.history` goes */
  readonly histories: readonly TimelineId[];
  /** by timeline, what WAL stays, if any; backup history files that belong to none of it go */
  readonly walKept: ReadonlyMap<TimelineId, readonly WalRange[]>;
  /** labels of all backups that were known when it was decided, complete or not; and of those that are being taken */
  readonly knownLabels: ReadonlySet<string>;
  readonly running: ReadonlySet<string>;
}

export interface ApplyOptions extends SignalOption {
  readonly lease: Lease;
  /** how long a writer may be silent before what it left is swept, in milliseconds */
  readonly graceMs: number;
  /** what time it is by the store's clock */
  readonly storeNow: () => Date;
  readonly onProgress: OnProgress;
  readonly log: Log;
}

export interface Applied {
  /** labels of backups that are gone */
  readonly backups: readonly string[];
  readonly backupsStayed: readonly StayedBackup[];
  /** labels of abandoned backups whose remains are gone */
  readonly swept: readonly string[];
  readonly segments: number;
  /** segments that stayed because a backup was begun meanwhile that may need them */
  readonly segmentsSpared: number;
  /** unfinished uploads that were cleared away */
  readonly leftovers: number;
  readonly erased: Erased;
  readonly stayed: Stayed;
}

/**
 * Deletes, in an order in which it may be killed at any point and begun again: backups, each by its record first, then what
 * writers have left, then WAL that nothing listed needs any more. The lease is checked before each call to the store.
 */
export async function applyDeletion(
  repository: Repository,
  deletion: Deletion,
  options: ApplyOptions,
): Promise<Applied> {
  const { life } = deletion;
  const { lease, graceMs, storeNow, signal } = options;
  const eraser = new Eraser({
    store: repository.store,
    check: (checkOptions) => lease.check(checkOptions),
    onErased: ({ objects, bytes }) =>
      options.onProgress({ phase: "prune", doneBytes: bytes, totalBytes: bytes, doneFiles: objects }),
    signal,
  });
  const onBackups = { repository, identity: life.identity, eraser, storeNow, signal };
  const { gone, stayed } = await eraseBackups(deletion.backups, onBackups);
  const swept = await sweepAbandoned(deletion.abandoned, graceMs, onBackups);
  const lateBackups = new LateBackups(repository, life, deletion.knownLabels);
  const onWal = { repository, life, eraser, lateBackups, signal };
  const wal = await eraseWal(subtractRanges(deletion.wal, neededBy(stayed, deletion.wal)), onWal);
  await erasePartials(deletion.partials, onWal);
  for (const [timeline, kept] of deletion.walKept) {
    await eraseBackupFiles(timeline, (segment) => isKeptOrLater(kept, segment), onWal);
  }
  // Where something of a timeline may have stayed, so does the way to it.
  const isWhole = stayed.length === 0 && wal.spared === 0 && eraser.stayed.count === 0;
  const histories = isWhole ? deletion.histories : [];
  await eraser.eraseKeys(histories.map((timeline) => historyKey(repository, life, timeline)));
  const { running } = deletion;
  const leftovers = await sweepLeftovers(repository, { ...onBackups, running, swept, lease, log: options.log });
  return {
    backups: gone,
    backupsStayed: stayed,
    swept,
    segments: wal.segments,
    segmentsSpared: wal.spared,
    leftovers,
    erased: eraser.erased,
    stayed: eraser.stayed,
  };
}

/** What backups that stayed need is taken as theirs on every timeline: the first segment may be another one's copy. */
function neededBy(stayed: readonly StayedBackup[], ranges: readonly WalRange[]): readonly WalRange[] {
  const timelines = [...new Set(ranges.map(({ timeline }) => timeline))];
  return stayed.flatMap(({ wal }) => (wal === undefined ? [] : timelines.map((timeline) => ({ ...wal, timeline }))));
}

/** Where WAL stays, more will come. */
function isKeptOrLater(kept: readonly WalRange[], segment: bigint): boolean {
  const last = kept.at(-1)?.last;
  if (last !== undefined && segment > last) return true;
  return kept.some((range) => range.first <= segment && segment <= range.last);
}

function historyKey(repository: Repository, { identity }: Deletion["life"], timeline: TimelineId): string {
  return walKey(repository.cluster, identity, `${formatTimeline(timeline)}.history`, repository.encrypted);
}
