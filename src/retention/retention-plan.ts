import type { Lsn } from "../postgres/lsn.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog, WalInterval } from "../repository/catalog.ts";

/** A backup that is kept whatever the policy says. */
export interface Pin {
  readonly label: string;
  /** the pin holds before this moment; undefined is for ever */
  readonly until: Date | undefined;
}

/** A backup that has been begun and is not complete: somebody may be at work. */
export interface RunningBackup {
  readonly label: string;
  /** when its label was claimed, by the server's clock */
  readonly begun: Date;
  /**
   * No WAL before this position will be needed by it. Undefined while that is not known: then all WAL since the newest
   * complete backup that began before it is protected.
   */
  readonly walFrom: { readonly timeline: TimelineId; readonly lsn: Lsn } | undefined;
}

/** All that a decision depends on, of one identity of a cluster. */
export interface RetentionFacts {
  readonly catalog: Catalog;
  readonly pins: readonly Pin[];
  readonly running: readonly RunningBackup[];
  readonly now: Date;
}

/** What stays and what may go, with a reason each. Nothing is deleted by it: `prune` does that. */
export interface RetentionPlan {
  /** every backup of the catalog once, in its order (oldest stop time first) */
  readonly backups: readonly BackupVerdict[];
  /** every segment of the catalog once: its intervals, cut where the verdict or the reason changes, in its order */
  readonly wal: readonly WalVerdict[];
  /** every `.partial` segment once, in the catalog's order */
  readonly partials: readonly PartialVerdict[];
  /** every timeline that the catalog knows, ascending; decides about `.history` files */
  readonly timelines: readonly TimelineVerdict[];
  /**
   * Where the window begins: every moment from it on, of a timeline in use, that can be restored now can be restored afterwards.
   * Undefined when nothing expires at all (no policy, or no backup that can be restored).
   */
  readonly windowBegin: Date | undefined;
  /** pins that hold and name no complete backup */
  readonly unknownPins: readonly Pin[];
}

export type BackupVerdict = {
  readonly record: BackupRecord;
  /** whether all WAL that it needs to become consistent is there */
  readonly restorable: boolean;
} & (
  | {
      readonly verdict: "keep";
      /** at least one, the weightiest first */
      readonly reasons: readonly KeepReason[];
    }
  | { readonly verdict: "expire"; readonly reason: BackupExpireReason }
);

/** An interval of the catalog or a part of one; where it was cut, `archivedAt` is a moment that `last` is not older than. */
export type WalVerdict = WalInterval & SegmentVerdict;

export type PartialVerdict = { readonly timeline: TimelineId; readonly segment: bigint } & SegmentVerdict;

export type SegmentVerdict =
  | { readonly verdict: "keep"; readonly reason: WalKeepReason }
  | { readonly verdict: "expire"; readonly reason: WalExpireReason };

/** What is to become of a timeline as a whole: of its `.history` file, if there is one, and of what else is left of it. */
export interface TimelineVerdict {
  readonly timeline: TimelineId;
  readonly verdict: "keep" | "expire";
  /** whether WAL still comes to it, as far as can be seen: such a timeline has a window of its own */
  readonly inUse: boolean;
}

export type KeepReason =
  /** no rule is set */
  | { readonly kind: "no-policy" }
  /** no backup at all can be restored, so none may go */
  | { readonly kind: "none-restorable" }
  /** the newest that can be restored, which always stays */
  | { readonly kind: "newest" }
  /** one of `count` that `keep-last` counts; 1 is the newest */
  | { readonly kind: "last"; readonly place: number; readonly count: number }
  /** it ended inside the recovery window of `keep-within` */
  | { readonly kind: "within"; readonly begin: Date }
  /** the newest from which the moments of `timeline` since `begin` can all be reached */
  | { readonly kind: "opens-window"; readonly timeline: TimelineId; readonly begin: Date }
  /** it lies, in WAL order, behind the backup that opens the window of `timeline` */
  | { readonly kind: "in-window"; readonly timeline: TimelineId }
  | {
      readonly kind: "daily" | "weekly" | "monthly" | "yearly";
      /** "2026-11-20", "2026-W47", "2026-11", "2026" */ readonly period: string;
    }
  | { readonly kind: "pin"; readonly until: Date | undefined };

/** No rule keeps it; `not-restorable`: no rule counts it, for WAL that it needs to become consistent is missing. */
export type BackupExpireReason = "outside-policy" | "not-restorable";

export type WalKeepReason =
  | { readonly kind: "no-policy" }
  | { readonly kind: "none-restorable" }
  /** everything from the start of `backup`, which is in the window, stays on the way to `timeline` */
  | { readonly kind: "window"; readonly backup: string; readonly timeline: TimelineId }
  /** the timeline is in use, and no backup that can be restored leads to it */
  | { readonly kind: "uncovered"; readonly timeline: TimelineId }
  /** `backup`, which is being taken, may need it */
  | { readonly kind: "running"; readonly backup: string }
  /** `backup` needs it to become consistent */
  | { readonly kind: "backup"; readonly backup: string };

export type WalExpireReason =
  /** nothing that stays needs it; `next`, a backup, needs WAL of the same timeline only behind it */
  | { readonly kind: "not-needed"; readonly next: string | undefined }
  /** no backup that stays leads to it; the newest segment of its timeline was archived at `lastArchived` */
  | { readonly kind: "unreachable"; readonly lastArchived: Date | undefined };
