import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { parseWalFileName, segmentFileName } from "../postgres/wal-file-name.ts";
import type { Catalog } from "../repository/catalog.ts";
import { readObjectHead } from "../repository/envelope/object-head.ts";
import { walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { receiveObject } from "../repository/worker/receive-object.ts";
import type { SharedParts } from "../repository/worker/shared-parts.ts";
import { createSharedParts } from "../repository/worker/shared-parts.ts";
import type { WorkerPool } from "../repository/worker/worker-pool.ts";
import { segmentPart } from "./fault.ts";
import type { Findings } from "./fault.ts";
import { isChosen } from "./sample.ts";
import type { Sample } from "./sample.ts";
import { Lanes } from "./lanes.ts";
import { SegmentJoiner } from "./segment-joiner.ts";
import type { ReadSegment, SegmentPiece } from "./segment-piece.ts";

/** Segments compress to a few megabytes: two parts of this size for each lane are enough, and little beside the segment. */
const largestPart = 4 * 1024 * 1024;

export interface ReadWalOptions {
  readonly pool: WorkerPool;
  readonly counters: SharedArrayBuffer;
  readonly sample: Sample | undefined;
  /** keys of objects of which it is known already that they are no good */
  readonly skip: ReadonlySet<string>;
  /** the last segment of a timeline up to which an earlier run has done all */
  readonly done: (timeline: TimelineId) => bigint | undefined;
  /** told when all of a timeline up to a segment is done */
  readonly onDone: (timeline: TimelineId, segment: bigint) => void;
  /** told of each file that was read */
  readonly onRead: () => void;
  /** hears of segments that were listed and are not there any more: deleted, or lost */
  readonly onVanished: (timeline: TimelineId, segment: bigint) => void;
  readonly findings: Findings;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads all segments in full, several at once, timeline by timeline, and joins each to the one before it. Resolves with whether
 * the store answered to the end.
 */
export async function readWal(repository: Repository, catalog: Catalog, options: ReadWalOptions): Promise<boolean> {
  const lanes = new Lanes(options.signal);
  const joiner = new SegmentJoiner(repository, catalog, options);
  const partSize = Math.min(largestPart, repository.store.capabilities.partSize);
  const memory = new SegmentMemory(options.pool.threads, catalog.walSegmentSize);
  await lanes.run(pieces(repository, catalog, options), options.pool.threads + 1, () => {
    const parts = createSharedParts(partSize);
    return async (piece) => {
      const read = await readPiece(repository, catalog.identity, piece, { parts, memory }, lanes.signal, options);
      lanes.answered(read !== "unknown");
      joiner.add(piece, read);
    };
  });
  return !lanes.isSilent;
}

/** Room for the plain bytes of a segment, once for each worker: a lane that only waits for its next object needs none. */
class SegmentMemory {
  readonly #free: SharedArrayBuffer[];
  readonly #waiting: ((memory: SharedArrayBuffer) => void)[] = [];

  constructor(count: number, size: number) {
    this.#free = Array.from({ length: count }, () => new SharedArrayBuffer(size));
  }

  async lend<T>(work: (memory: SharedArrayBuffer) => Promise<T>): Promise<T> {
    const memory = this.#free.pop() ?? (await new Promise<SharedArrayBuffer>((resolve) => this.#waiting.push(resolve)));
    try {
      return await work(memory);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(memory);
      else next(memory);
    }
  }
}

function* pieces(repository: Repository, catalog: Catalog, options: ReadWalOptions): Generator<SegmentPiece> {
  let order = 0;
  const piece = (timeline: TimelineId, segment: bigint, suffix: string): SegmentPiece | undefined => {
    const text = segmentFileName(timeline, segment, catalog.walSegmentSize) + suffix;
    const key = walKey(repository.cluster, catalog.identity, text, repository.encrypted);
    const name = parseWalFileName(text);
    if (options.skip.has(key) || !isChosen(options.sample, key)) return undefined;
    if (name?.kind !== "segment" && name?.kind !== "partial") return undefined;
    return { order: order++, timeline, segment, name, key };
  };
  for (const { timeline, first, last } of catalog.wal) {
    const done = options.done(timeline);
    // The last one that was done is read again, for what follows is joined to it.
    for (let segment = done !== undefined && done > first ? done : first; segment <= last; segment++) {
      const next = piece(timeline, segment, "");
      if (next !== undefined) yield next;
    }
  }
  for (const { timeline, segment } of catalog.partials) {
    const next = piece(timeline, segment, ".partial");
    if (next !== undefined) yield next;
  }
}

async function readPiece(
  repository: Repository,
  identity: ClusterIdentity,
  { timeline, segment, name, key }: SegmentPiece,
  { parts, memory }: { readonly parts: SharedParts; readonly memory: SegmentMemory },
  signal: AbortSignal,
  options: ReadWalOptions,
): Promise<ReadSegment> {
  const { findings, pool, counters } = options;
  const { store, encrypted, secretKeys } = repository;
  // A `.partial` file is no part of a recovery window; recovery to the very end of a timeline that was left wants it.
  const costs = name.kind === "segment" ? [segmentPart(timeline, segment)] : [];
  const before = findings.unknownCount;
  try {
    const object = { store, key, size: undefined, encrypted, secretKeys, parts, signal };
    const read = await receiveObject(object, async ({ header, key: payloadKey, beginning }, released) => {
      const head = readObjectHead(beginning);
      if (head === undefined) throw new PgarkError("corrupt", "it has no head", { operation: "read WAL" });
      const { digest, size } = head;
      const task = { name, identity, head: { digest, size }, header, key: payloadKey, counters, parts };
      return memory.lend((plain) => pool.run("checkWal", { ...task, plain }, released));
    });
    options.onRead();
    if (read.kind === "read") return read;
    findings.fault({ kind: read.kind, object: key, problem: read.problem, hint: anotherCopy, costs });
    return "faulty";
  } catch (error) {
    if (isPgarkError(error, "not-found")) {
      if (name.kind === "segment") options.onVanished(timeline, segment);
      return "faulty";
    }
    findings.error(error, key, costs, anotherCopy);
    return findings.unknownCount === before ? "faulty" : "unknown";
  }
}

const anotherCopy =
  "if the server or a standby still has the segment in pg_wal, delete the object and push it again; else take a backup now";
