import { timelineId } from "../../src/postgres/timeline.ts";
import type { Catalog } from "../../src/repository/catalog.ts";
import { planRecovery } from "../../src/restore/plan-recovery.ts";
import type {
  RecoveryPlan,
  RecoveryRefusal,
  RecoveryRequest,
  RecoveryTarget,
} from "../../src/restore/recovery-plan.ts";
import { at, clock } from "./archive-builder.ts";
import type { ArchiveSpec } from "./archive-builder.ts";

export const latest: RecoveryTarget = { kind: "latest" };
export const immediate: RecoveryTarget = { kind: "immediate" };
export const name: RecoveryTarget = { kind: "name", name: "before upgrade" };
export const xid: RecoveryTarget = { kind: "xid", xid: "1234", inclusive: true };

export function toTime(position: number): RecoveryTarget {
  const time = clock(position);
  return { kind: "time", time, text: time.toISOString(), inclusive: true };
}

export function toLsn(position: number, segmentSize?: number): RecoveryTarget {
  return { kind: "lsn", lsn: at(position, segmentSize), inclusive: true };
}

export interface Ask {
  readonly to: RecoveryTarget;
  readonly timeline?: number | "latest" | "current";
  readonly backup?: string;
}

export function request({ to, timeline = "latest", backup }: Ask): RecoveryRequest {
  return { target: to, timeline: typeof timeline === "number" ? timelineId(timeline) : timeline, backup };
}

export function plan(catalog: Catalog, ask: Ask): RecoveryPlan {
  const answer = planRecovery(catalog, request(ask));
  if (answer.kind === "refusal") throw new Error(`refused: ${answer.reason}: ${answer.message}`);
  return answer;
}

export function refusal(catalog: Catalog, ask: Ask): RecoveryRefusal {
  const answer = planRecovery(catalog, request(ask));
  if (answer.kind === "plan") throw new Error(`planned from ${answer.backup.label}`);
  return answer;
}

/** "1:3-7 2:8-9" */
export function walOf({ wal }: RecoveryPlan): string {
  return wal.map(({ timeline, first, last }) => `${timeline}:${first}-${last}`).join(" ");
}

// A backup a day on one timeline, WAL without a hole.
export const plain: ArchiveSpec = {
  wal: { 1: "2-20" },
  backups: [
    { label: "first", start: 2.1, stop: 2.9 },
    { label: "second", start: 8.1, stop: 9.5 },
  ],
};

// Promoted in the middle of segment 10; the old primary went on to segment 14, with a backup there.
export const promoted: ArchiveSpec = {
  histories: { 2: [[1, 10.5]] },
  wal: { 1: "2-14", 2: "10-18" },
  backups: [
    { label: "before", start: 3.1, stop: 3.9 },
    { label: "abandoned", start: 12.1, stop: 12.9 },
    { label: "after", timeline: 2, start: 15.1, stop: 15.9 },
  ],
};

// 1 -> 2 -> 3, then 4 is a point-in-time recovery that left 2 before 3 did: 3 is the second abandoned generation.
export const twoGenerations: ArchiveSpec = {
  histories: {
    2: [[1, 5.5]],
    3: [
      [1, 5.5],
      [2, 12.5],
    ],
    4: [
      [1, 5.5],
      [2, 8.25],
    ],
  },
  wal: { 1: "2-7", 2: "5-14", 3: "12-16", 4: "8-11" },
  backups: [
    { label: "one", start: 2.1, stop: 2.9 },
    { label: "one late", start: 6.1, stop: 6.9, startClock: 6.2, stopClock: 6.9 },
    { label: "two", timeline: 2, start: 7.1, stop: 7.9 },
    { label: "two late", timeline: 2, start: 9.1, stop: 9.9 },
    { label: "three", timeline: 3, start: 13.1, stop: 13.9 },
  ],
};
