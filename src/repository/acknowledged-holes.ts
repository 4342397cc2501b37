import { isPgarkError, PgarkError } from "../errors.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { parseWalFileName, segmentFileName, segmentNumber } from "../postgres/wal-file-name.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { Catalog } from "./catalog.ts";
import { acknowledgedFolder } from "./layout.ts";
import { decodeRecord, encodeRecord } from "./records.ts";
import type { Repository } from "./repository.ts";

/**
 * Segments `first` to `last` (segment numbers, both included) of one timeline of which somebody said: I know that they are
 * missing. Nothing becomes restorable by it; it is no longer called a fault.
 */
export interface AcknowledgedHole {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
  /** why, in the words of whoever said so; empty without any */
  readonly reason: string;
  readonly acknowledged: Date;
  readonly host: string;
}

/** One life of a cluster. */
type Life = Pick<Catalog, "identity" | "walSegmentSize">;

/** All that were written down of one life of a cluster, by timeline and segment. */
export async function loadAcknowledgedHoles(
  repository: Repository,
  life: Life,
  options: SignalOption,
): Promise<readonly AcknowledgedHole[]> {
  const holes: AcknowledgedHole[] = [];
  for await (const { key } of repository.store.list(acknowledgedFolder(repository.cluster, life.identity), options)) {
    holes.push(decodeHole(key, await repository.store.get(key, options), life.walSegmentSize));
  }
  return holes;
}

/** Writes one down; resolves with whether it was new. */
export async function acknowledgeHole(
  repository: Repository,
  life: Life,
  hole: AcknowledgedHole,
  options: SignalOption,
): Promise<boolean> {
  const [first, last] = namesOf(hole, life.walSegmentSize);
  const key = `${acknowledgedFolder(repository.cluster, life.identity)}${first}-${last}.json`;
  try {
    await repository.store.put(key, encodeHole(hole, life.walSegmentSize), { ifAbsent: true, ...options });
    return true;
  } catch (error) {
    if (isPgarkError(error, "exists")) return false;
    throw error;
  }
}

/** Whether every segment from `first` to `last` of a timeline is known to be missing. */
export function isAcknowledged(
  holes: readonly AcknowledgedHole[],
  { timeline, first, last }: Pick<AcknowledgedHole, "timeline" | "first" | "last">,
): boolean {
  const known = holes.filter((hole) => hole.timeline === timeline).toSorted((a, b) => (a.first < b.first ? -1 : 1));
  let next = first;
  for (const hole of known) {
    if (hole.first > next) break;
    if (hole.last >= next) next = hole.last + 1n;
  }
  return next > last;
}

function encodeHole(hole: AcknowledgedHole, segmentSize: number): Uint8Array {
  const [first, last] = namesOf(hole, segmentSize);
  return encodeRecord({
    kind: "pgark acknowledged hole",
    first,
    last,
    reason: hole.reason,
    acknowledged: hole.acknowledged.toISOString(),
    host: hole.host,
  });
}

function namesOf({ timeline, first, last }: AcknowledgedHole, segmentSize: number): readonly [string, string] {
  return [segmentFileName(timeline, first, segmentSize), segmentFileName(timeline, last, segmentSize)];
}

function decodeHole(key: string, bytes: Uint8Array, segmentSize: number): AcknowledgedHole {
  const fields = decodeRecord(key, bytes);
  const first = parseWalFileName(fields.string("first"));
  const last = parseWalFileName(fields.string("last"));
  if (first?.kind !== "segment" || last?.kind !== "segment" || first.timeline !== last.timeline) {
    throw new PgarkError("corrupt", "it does not name two segments of one timeline", {
      operation: "read record",
      object: key,
    });
  }
  return {
    timeline: first.timeline,
    first: segmentNumber(first, segmentSize),
    last: segmentNumber(last, segmentSize),
    reason: fields.string("reason"),
    acknowledged: fields.date("acknowledged"),
    host: fields.string("host"),
  };
}
