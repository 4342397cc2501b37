import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineHistory, TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "./backup-record.ts";

/** Segments `first` to `last` (segment numbers, both included) of one timeline, none missing between them. */
export interface WalInterval {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
  /** when the last one was archived, by the store's clock */
  readonly archivedAt: Date;
}

/** All that is known of one identity of a cluster: facts for the planner and for retention. */
export interface Catalog {
  readonly identity: ClusterIdentity;
  readonly walSegmentSize: number;
  /** complete backups, oldest stop time first */
  readonly backups: readonly BackupRecord[];
  /** histories of all timelines but those that begin with `initdb` */
  readonly histories: ReadonlyMap<TimelineId, TimelineHistory>;
  /** by timeline, then by first segment; adjacent intervals are merged */
  readonly wal: readonly WalInterval[];
  /** `.partial` segments, by timeline and segment number */
  readonly partials: readonly { readonly timeline: TimelineId; readonly segment: bigint }[];
}

/** A part of a catalog that may turn out to be unusable. */
export type CatalogPart =
  | { readonly kind: "backup"; readonly label: string }
  /** segments `first` to `last` (segment numbers, both included) of one timeline */
  | {
      readonly kind: "segments";
      readonly timeline: TimelineId;
      readonly first: bigint;
      readonly last: bigint;
    }
  | { readonly kind: "history"; readonly timeline: TimelineId };
