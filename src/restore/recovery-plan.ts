import type { Lsn } from "../postgres/lsn.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";

/** Where recovery is to end; the names are PostgreSQL's (`recovery_target_*`). */
export type RecoveryTarget =
  | { readonly kind: "latest" }
  | { readonly kind: "immediate" }
  | {
      readonly kind: "time";
      /** the target, cut off to milliseconds */
      readonly time: Date;
      /** what is to be written to `recovery_target_time`: UTC, with microseconds and `+00` */
      readonly text: string;
      readonly inclusive: boolean;
    }
  | { readonly kind: "lsn"; readonly lsn: Lsn; readonly inclusive: boolean }
  | { readonly kind: "xid"; /** decimal */ readonly xid: string; readonly inclusive: boolean }
  | { readonly kind: "name"; readonly name: string };

export type TargetTimeline = "latest" | "current" | TimelineId;

export interface RecoveryRequest {
  readonly target: RecoveryTarget;
  readonly timeline: TargetTimeline;
  /** the label of a backup that must be used, or undefined for the best one */
  readonly backup: string | undefined;
}

/** Segments of one timeline that replay reads; `first` and `last` are segment numbers, both included. */
export interface WalNeed {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
}

/** A moment that can be reached, for people who must choose another one. */
export interface ReachableMoment {
  /** what `--timeline` is to be; the moment itself may lie on one of its ancestors */
  readonly timeline: TimelineId;
  readonly lsn: Lsn;
  /** as near as it is known without reading WAL; undefined when no time can be named that surely belongs to it */
  readonly time: Date | undefined;
}

/**
 * One stretch that can be restored with one `--timeline`, both ends included. It begins at a backup's end and goes on to the
 * last byte of the WAL that follows it without a hole. Every LSN and every time in it plans; where WAL ends exactly with the
 * backup both ends are that backup's end, and only `immediate` and `latest` reach it.
 */
export interface WindowInterval {
  readonly timeline: TimelineId;
  readonly from: ReachableMoment;
  readonly to: ReachableMoment;
  /** the backup that opens it, the newest if several end there */
  readonly backup: string;
}

export interface RecoveryPlan {
  readonly kind: "plan";
  readonly backup: BackupRecord;
  readonly target: RecoveryTarget;
  /** what `recovery_target_timeline` is to be */
  readonly timeline: TimelineId;
  /** the timelines that replay passes through, the backup's first */
  readonly path: readonly TimelineId[];
  /** segments that are there and that replay will or may read */
  readonly wal: readonly WalNeed[];
  readonly segments: number;
  /** plain bytes of the backup's files */
  readonly bytes: number;
  /** sentences: what has been shown to hold, and what cannot be known before replay */
  readonly proven: readonly string[];
  readonly unproven: readonly string[];
  /** backups that one might have expected in this one's place */
  readonly skipped: readonly SkippedBackup[];
}

export interface SkippedBackup {
  readonly label: string;
  readonly reason: string;
}

export type RefusalReason =
  /** the cluster has no complete backup */
  | "no-backup"
  /** `--backup` names none that exists */
  | "unknown-backup"
  /** `--timeline` names none that exists */
  | "unknown-timeline"
  /** no backup (or not the named one) lies on the way to the timeline */
  | "timeline-unreachable"
  /** the target lies before the end of the first backup */
  | "before-window"
  /** the target lies after the end of the WAL, which has no hole */
  | "after-window"
  /** a segment between the backup and the target is not in the archive */
  | "wal-missing"
  /** the named backup ends after the target */
  | "backup-too-late";

/** A typed "no": nothing has been touched. */
export interface RecoveryRefusal {
  readonly kind: "refusal";
  readonly reason: RefusalReason;
  /** one sentence, lower case, without a full stop */
  readonly message: string;
  readonly hint: string | undefined;
  /** the file name of the first segment that is missing, for `wal-missing` */
  readonly missingSegment: string | undefined;
  /**
   * The nearest moments on either side that can be reached. `before` is a sure one: its LSN begins the last whole segment,
   * for nothing says where in that segment the last record begins; what follows is reached by `latest` or by time.
   */
  readonly before: ReachableMoment | undefined;
  readonly after: ReachableMoment | undefined;
  readonly window: readonly WindowInterval[];
  readonly skipped: readonly SkippedBackup[];
}
