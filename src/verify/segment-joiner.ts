import type { Lsn } from "../postgres/lsn.ts";
import { formatLsn } from "../postgres/lsn.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { formatTimeline } from "../postgres/timeline.ts";
import { joinWalSegment } from "../postgres/wal-chain.ts";
import type { WalChain } from "../postgres/wal-chain.ts";
import { segmentNumberOfLsn, segmentStart } from "../postgres/wal-file-name.ts";
import type { WalFault } from "../postgres/wal-segment-check.ts";
import type { Catalog } from "../repository/catalog.ts";
import { walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { legAt, ownerOfSegment, timelinePath } from "../repository/timeline-path.ts";
import type { TimelinePath } from "../repository/timeline-path.ts";
import { historyPart, segmentPart } from "./fault.ts";
import type { Findings } from "./fault.ts";
import { historyHint } from "./load-life.ts";
import type { ReadSegment, SegmentPiece } from "./segment-piece.ts";

export interface SegmentJoinerOptions {
  readonly findings: Findings;
  readonly onDone: (timeline: TimelineId, segment: bigint) => void;
}

const notReplayed = "PostgreSQL ends recovery before this record, as if the archive ended there: take a new backup now";

/**
 * Takes segments as they have been read, in any order, and looks at them in theirs: whether each goes on where the one before it
 * ends, over a switch of timelines too, and whether each timeline begins where its history says.
 */
export class SegmentJoiner {
  readonly #repository: Repository;
  readonly #catalog: Catalog;
  readonly #options: SegmentJoinerOptions;
  readonly #waiting = new Map<number, { readonly piece: SegmentPiece; readonly read: ReadSegment }>();
  readonly #paths = new Map<TimelineId, TimelinePath>();
  /** where other timelines begin: "<timeline>:<segment>" of the last segment before -> the WAL up to there */
  readonly #forks: Map<string, WalChain | undefined>;
  #next = 0;
  #before: SegmentPiece | undefined;
  #chain: WalChain | undefined;
  #allKnown = true;

  constructor(repository: Repository, catalog: Catalog, options: SegmentJoinerOptions) {
    this.#repository = repository;
    this.#catalog = catalog;
    this.#options = options;
    this.#forks = new Map([...catalog.histories.keys()].map((timeline) => [this.#forkOf(timeline), undefined]));
  }

  add(piece: SegmentPiece, read: ReadSegment): void {
    this.#waiting.set(piece.order, { piece, read });
    for (let next = this.#waiting.get(this.#next); next !== undefined; next = this.#waiting.get(this.#next)) {
      this.#waiting.delete(this.#next++);
      if (next.piece.name.kind === "partial") this.#lookAtPartial(next.piece, next.read);
      else this.#join(next.piece, next.read);
    }
  }

  #join(piece: SegmentPiece, read: ReadSegment): void {
    const { timeline, segment } = piece;
    const before = this.#chainBefore(piece);
    this.#chain = undefined;
    if (typeof read !== "string") {
      this.#checkBeginning(piece, read);
      if (read.check !== undefined) {
        const joined = joinWalSegment(before, read.check);
        this.#chain = joined.chain;
        const fault = joined.fault ?? read.check.fault;
        if (fault !== undefined) this.#badRecord(piece, fault);
      }
    }
    this.#before = piece;
    const place = `${timeline}:${segment}`;
    if (this.#forks.has(place)) this.#forks.set(place, this.#chain);
    // What could not be found out is looked at again by the run that goes on from here.
    this.#allKnown &&= read !== "unknown";
    if (this.#allKnown) this.#options.onDone(timeline, segment);
  }

  /** Of a `.partial` file nobody knows where its WAL ends; but what is there must be readable. */
  #lookAtPartial(piece: SegmentPiece, read: ReadSegment): void {
    const fault = typeof read === "string" ? undefined : read.check?.fault;
    if (fault !== undefined) this.#badRecord(piece, fault);
  }

  #chainBefore({ timeline, segment }: SegmentPiece): WalChain | undefined {
    const before = this.#before;
    if (before?.timeline === timeline && before.segment + 1n === segment) return this.#chain;
    if (!this.#catalog.histories.has(timeline) || !this.#isFirst(timeline, segment)) return undefined;
    return this.#forks.get(this.#forkOf(timeline));
  }

  /** The last segment on the way to a timeline that is not of its own. */
  #forkOf(timeline: TimelineId): string {
    const path = this.#pathTo(timeline);
    const segment = segmentNumberOfLsn(path.last.begin, this.#catalog.walSegmentSize) - 1n;
    return `${ownerOfSegment(path, segment, this.#catalog.walSegmentSize).timeline}:${segment}`;
  }

  #isFirst(timeline: TimelineId, segment: bigint): boolean {
    return segmentNumberOfLsn(this.#pathTo(timeline).last.begin, this.#catalog.walSegmentSize) === segment;
  }

  #pathTo(timeline: TimelineId): TimelinePath {
    const known = this.#paths.get(timeline);
    if (known !== undefined) return known;
    const path = timelinePath(this.#catalog, timeline);
    this.#paths.set(timeline, path);
    return path;
  }

  /**
   * The segment that a timeline begins in is a copy of its parent's up to the page of the switch point. Each page names the
   * timeline that it was begun on.
   */
  #checkBeginning({ timeline, segment }: SegmentPiece, read: Exclude<ReadSegment, string>): void {
    if (!this.#catalog.histories.has(timeline) || !this.#isFirst(timeline, segment)) return;
    const path = this.#pathTo(timeline);
    const start = segmentStart(segment, this.#catalog.walSegmentSize);
    const block = BigInt(read.blockSize);
    const expected = ((path.last.begin + block - 1n) / block) * block;
    const begun = read.check?.firstTimeline;
    const parent = legAt(path, start).timeline;
    if (read.inheritedUntil !== expected) {
      this.#wrongHistory(timeline, `left at ${formatLsn(path.last.begin)}`, read.inheritedUntil);
    } else if (begun !== undefined && begun !== parent) {
      this.#wrongHistory(timeline, `timeline ${parent}, which WAL says was timeline ${begun}`, read.inheritedUntil);
    }
  }

  #wrongHistory(timeline: TimelineId, what: string, inheritedUntil: Lsn): void {
    const name = `${formatTimeline(timeline)}.history`;
    this.#options.findings.fault({
      kind: "contradiction",
      object: walKey(this.#repository.cluster, this.#catalog.identity, name, this.#repository.encrypted),
      problem: `it says that its parent was ${what}; WAL of timeline ${timeline} itself begins before ${formatLsn(inheritedUntil)}`,
      hint: historyHint,
      costs: [historyPart(timeline)],
    });
  }

  #badRecord({ timeline, segment, name, key }: SegmentPiece, { reason }: WalFault): void {
    const isSegment = name.kind === "segment";
    this.#options.findings.fault({
      kind: "bad-record",
      object: key,
      problem: reason,
      hint: isSegment ? notReplayed : "the rest of the file cannot be replayed",
      costs: isSegment ? [segmentPart(timeline, segment)] : [],
    });
  }
}
