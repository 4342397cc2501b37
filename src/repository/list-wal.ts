import { mapConcurrently } from "../concurrency.ts";
import { PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { parseWalFileName, segmentNumber, segmentsPerLog } from "../postgres/wal-file-name.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import { compareKeys } from "../storage/compare-keys.ts";
import { listLazily } from "../storage/list-lazily.ts";
import type { ListedObject, ObjectStore, SignalOption } from "../storage/object-store.ts";
import type { Catalog, WalInterval } from "./catalog.ts";
import { sealedSuffix, walFolder } from "./layout.ts";
import type { Repository } from "./repository.ts";

/** Lists under way at once; what is there is cut into that many ranges. */
const concurrency = 16;
/** As many segments are worth a list of their own; fewer stay together. */
const smallestRange = 4096;

/** What lies in the WAL folder of one life of a cluster, as in a catalog. */
export interface ListedWal {
  readonly intervals: readonly WalInterval[];
  readonly partials: Catalog["partials"];
  /** timelines whose history is there, oldest first */
  readonly timelinesWithHistory: readonly TimelineId[];
}

export interface ListWalOptions extends SignalOption {
  /**
   * Sees every object of the folder; what does not belong where it lies has no name. With it, a segment that cannot exist with
   * segments of this size does not belong; without, it is an error.
   */
  readonly onObject?: ((object: ListedObject, name: WalFileName | undefined) => void) | undefined;
}

/** Keys after `after` and before `end`; where one is missing, from the first or to the last of the folder. */
interface KeyRange {
  readonly after: string | undefined;
  readonly end: string | undefined;
}

interface Listing {
  readonly store: ObjectStore;
  /** that of all WAL */
  readonly folder: string;
  /** of the names of sealed objects */
  readonly suffix: string;
  readonly segmentSize: number;
}

/**
 * Lists all WAL, many ranges of keys side by side: a month of it takes thousands of requests, each of which waits for the one
 * before in its range. Memory grows with the number of log folders and of holes, not with the number of segments.
 */
export async function listWal(
  repository: Repository,
  identity: ClusterIdentity,
  segmentSize: number,
  options: ListWalOptions,
): Promise<ListedWal> {
  const { store, cluster, encrypted } = repository;
  const listing = { store, folder: walFolder(cluster, identity), suffix: sealedSuffix(encrypted), segmentSize };
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  const ranges = cutIntoRanges(await logFolders(listing, options), segmentSize);
  const parts = await mapConcurrently(ranges, concurrency, (range) =>
    listRange(listing, range, { signal, onObject: options.onObject }).catch((error: unknown) => {
      failed.abort(error); // the others need not go on; what they say of that is not the reason
      throw failed.signal.reason;
    }),
  );
  return {
    intervals: joinIntervals(parts.map(({ intervals }) => intervals)),
    partials: parts.flatMap(({ partials }) => partials),
    timelinesWithHistory: parts.flatMap(({ timelinesWithHistory }) => timelinesWithHistory),
  };
}

/** The folders that segments lie in, of all timelines, in byte order. */
async function logFolders({ store, folder }: Listing, options: SignalOption): Promise<readonly string[]> {
  const timelines = await hexFolders(store, folder, options);
  const logs = await mapConcurrently(timelines, concurrency, (timeline) => hexFolders(store, timeline, options));
  return logs.flat().sort(compareKeys);
}

async function hexFolders(store: ObjectStore, folder: string, options: SignalOption): Promise<readonly string[]> {
  const found = await store.listFolders(folder, options);
  return found.filter((key) => /^[0-9A-F]{8}\/$/.test(key.slice(folder.length)));
}

/**
 * Cuts all keys, not those in log folders alone, at every so many log folders: histories and what else lies in a timeline's
 * folder sort among them, and folders that appear meanwhile do too. Each key belongs to exactly one range.
 */
function cutIntoRanges(folders: readonly string[], segmentSize: number): readonly KeyRange[] {
  const worthwhile = Math.ceil(smallestRange / segmentsPerLog(segmentSize));
  const perRange = Math.max(worthwhile, Math.ceil(folders.length / concurrency));
  const cuts = folders.filter((_, index) => index > 0 && index % perRange === 0);
  return [undefined, ...cuts].map((after, index) => ({ after, end: cuts[index] }));
}

async function listRange(
  listing: Listing,
  { after, end }: KeyRange,
  { signal, onObject }: ListWalOptions,
): Promise<ListedWal> {
  const { store, folder, segmentSize } = listing;
  const intervals = new IntervalCollector();
  const partials: { timeline: TimelineId; segment: bigint }[] = [];
  const timelinesWithHistory: TimelineId[] = [];
  let before = after ?? "";
  for await (const object of listLazily(store, folder, { signal, startAfter: after })) {
    const { key } = object;
    if (compareKeys(key, before) <= 0) throw outOfOrder(before, key);
    before = key;
    if (end !== undefined && compareKeys(key, end) >= 0) break;
    let name = nameOfObject(listing, key);
    if (onObject !== undefined) {
      if (name !== undefined && !canExist(name, segmentSize)) name = undefined;
      onObject(object, name);
    }
    if (name?.kind === "segment") intervals.add(name.timeline, segmentNumber(name, segmentSize), object);
    else if (name?.kind === "partial") {
      partials.push({ timeline: name.timeline, segment: segmentNumber(name, segmentSize) });
    } else if (name?.kind === "history") timelinesWithHistory.push(name.timeline);
  }
  return { intervals: intervals.done(), partials, timelinesWithHistory };
}

/** What lies under a name that is none, or in another folder than its own, nobody ever fetches: it does not count. */
function nameOfObject({ folder, suffix }: Listing, key: string): WalFileName | undefined {
  const slash = key.lastIndexOf("/") + 1;
  const file = key.slice(slash);
  const name = file.endsWith(suffix) ? parseWalFileName(file.slice(0, -suffix.length)) : undefined;
  if (name === undefined) return undefined;
  const hasLogFolder = name.kind === "segment" || name.kind === "partial";
  const place = hasLogFolder ? `${file.slice(0, 8)}/${file.slice(8, 16)}/` : `${file.slice(0, 8)}/`;
  return key.slice(folder.length, slash) === place ? name : undefined;
}

function canExist(name: WalFileName, segmentSize: number): boolean {
  return name.kind === "history" || name.segment < segmentsPerLog(segmentSize);
}

/** Makes intervals of segments that come in order, and asks the store about the last one of each alone. */
class IntervalCollector {
  readonly #intervals: WalInterval[] = [];
  #open: { timeline: TimelineId; first: bigint; last: bigint; object: ListedObject } | undefined;

  add(timeline: TimelineId, segment: bigint, object: ListedObject): void {
    const open = this.#open;
    if (open?.timeline === timeline && open.last + 1n === segment) {
      open.last = segment;
      open.object = object;
      return;
    }
    this.#close();
    this.#open = { timeline, first: segment, last: segment, object };
  }

  done(): readonly WalInterval[] {
    this.#close();
    return this.#intervals;
  }

  #close(): void {
    if (this.#open === undefined) return;
    const { object, ...interval } = this.#open;
    // Deleted while it was listed: then nothing is claimed of its time.
    this.#intervals.push({ ...interval, archivedAt: object.info()?.modified ?? new Date(0) });
    this.#open = undefined;
  }
}

/** A clone of a service may have an order of its own, or begin at the first key each time: WAL would be missed. */
function outOfOrder(before: string, key: string): PgarkError {
  return new PgarkError("refused", `the store lists "${key}" after "${before}"`, {
    operation: "list WAL",
    object: key,
    hint: "pgark cannot work with a store that does not list in byte order, after the key that it is given",
  });
}

function joinIntervals(parts: readonly (readonly WalInterval[])[]): readonly WalInterval[] {
  const joined: WalInterval[] = [];
  for (const part of parts) {
    for (const interval of part) addInterval(joined, interval);
  }
  return joined;
}

/** Lists come in the order of names, which within a timeline is the order of segments. */
function addInterval(intervals: WalInterval[], next: WalInterval): void {
  const before = intervals.at(-1);
  if (before !== undefined && before.timeline === next.timeline && before.last + 1n === next.first) {
    intervals[intervals.length - 1] = { ...next, first: before.first };
  } else {
    intervals.push(next);
  }
}
