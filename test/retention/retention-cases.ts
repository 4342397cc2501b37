import { evaluateRetention } from "../../src/retention/evaluate.ts";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import type { RetentionFacts, RetentionPlan } from "../../src/retention/retention-plan.ts";
import { buildCatalog, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec, BackupSpec } from "../restore/archive-builder.ts";

/** Segments in a day of the archive builder's clock, which shows ten minutes a segment. */
export const DAY = 144;
export const dayMs = 24 * 3600 * 1000;

/** A backup at a position, of a segment and a half, that ended when the clock showed `clockAt`. */
export function backup(label: string, timeline: number, start: number, clockAt = start + 1.7): BackupSpec {
  return { label, timeline, start: start + 0.2, stop: start + 1.7, startClock: clockAt - 1.5, stopClock: clockAt };
}

/** One backup a day, "d0" first, and all WAL. */
export function daily(days: number): ArchiveSpec {
  return {
    wal: { 1: `0-${days * DAY}` },
    backups: Array.from({ length: days }, (_, day) => backup(`d${day}`, 1, day * DAY + 12)),
  };
}

/** What the tables ask, by default at the moment when segment `now` begins. */
export interface Question extends Partial<Omit<RetentionFacts, "catalog" | "now">> {
  readonly archive: ArchiveSpec;
  readonly policy: RetentionPolicy;
  /** as a position, see `clock` */
  readonly now: number;
}

export function ask({ archive, policy, now, pins = [], running = [] }: Question): RetentionPlan {
  return evaluateRetention({ catalog: buildCatalog(archive), pins, running, now: clock(now) }, policy);
}

/** The verdicts as a person would note them down. */
export function noted(plan: RetentionPlan): {
  readonly backups: Readonly<Record<string, string>>;
  readonly wal: readonly string[];
} {
  const backups = plan.backups.map((judged) => {
    const why = judged.verdict === "keep" ? judged.reasons.map(({ kind }) => kind).join(" ") : judged.reason;
    return [judged.record.label, `${judged.verdict}: ${why}`] as const;
  });
  const wal = plan.wal.map(({ timeline, first, last, verdict, reason }) => {
    const about = "backup" in reason ? ` ${reason.backup}` : "";
    return `${timeline}: ${first}-${last} ${verdict}: ${reason.kind}${about}`;
  });
  return { backups: Object.fromEntries(backups), wal };
}
