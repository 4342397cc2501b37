import type { TimelineId } from "../postgres/timeline.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import type { CheckedWal } from "../repository/worker/check-tasks.ts";

/** A segment to be read; `order` counts from 0. */
export interface SegmentPiece {
  readonly order: number;
  readonly timeline: TimelineId;
  readonly segment: bigint;
  readonly name: SegmentName;
  readonly key: string;
}

export type SegmentName = Extract<WalFileName, { readonly kind: "segment" | "partial" }>;

/** "faulty": it was told what is wrong; "unknown": the store did not answer. */
export type ReadSegment = Extract<CheckedWal, { readonly kind: "read" }> | "faulty" | "unknown";
