import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Lsn } from "../postgres/lsn.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { Catalog } from "../repository/catalog.ts";
import type { UnfinishedBackup } from "../repository/unfinished-backups.ts";
import type { VerifyRecord } from "../repository/verify-record.ts";

/** All that a status is made from: what was found out of a cluster, at one moment. */
export interface StatusFacts {
  readonly cluster: string;
  /** the repository's URL, without secrets */
  readonly repository: string;
  readonly encrypted: boolean;
  readonly now: Date;
  /** the lives that were looked at, oldest first; the last one is the present one */
  readonly lives: readonly LifeFacts[];
  readonly server: Asked<ServerFacts>;
  readonly backlog: Asked<BacklogFacts>;
  /** about the file that PostgreSQL fails to archive, when the repository holds one of that name */
  readonly taken: TakenName | undefined;
  /** the asynchronous archiver, where one is in use */
  readonly archiver?: ArchiverFacts | undefined;
  /** each repository, where WAL goes to several */
  readonly repositories?: readonly RepositoryFacts[] | undefined;
}

/** What was asked for and answered, or why there is no answer. */
export type Asked<T> =
  | { readonly known: true; readonly value: T }
  | {
      readonly known: false;
      /** lower case, without a full stop */
      readonly why: string;
      /** what would give an answer, as a sentence */
      readonly hint?: string | undefined;
      /** the user named where to ask, so that silence is a problem */
      readonly expected: boolean;
    };

/** What the repository holds of one life of a cluster. */
export interface LifeFacts {
  readonly catalog: Catalog;
  /** when `pgark init` recorded it */
  readonly created: Date;
  /** what can be restored, by timeline, oldest first in each */
  readonly window: readonly WindowStretch[];
  readonly holes: readonly HoleFacts[];
  /** backups whose record cannot be trusted */
  readonly damaged: readonly { readonly label: string; readonly problem: string }[];
  /** folders of backups that have no record: those under way, and those that were given up */
  readonly unfinished: readonly UnfinishedFacts[];
  /** how the last `pgark verify` ended */
  readonly verified: VerifyRecord | undefined;
  /** undefined where no policy is set */
  readonly retention: RetentionOutlook | undefined;
  /** bytes of all WAL objects as stored, perhaps reckoned from a sample; undefined where nobody asked */
  readonly walStoredBytes?: number | undefined;
}

export interface UnfinishedFacts extends UnfinishedBackup {
  /** somebody is at work on it, as far as can be seen */
  readonly running: boolean;
}

/** Moments that can be restored with one `--timeline`, both ends included, none missing between them. */
export interface WindowStretch {
  readonly timeline: TimelineId;
  readonly from: WindowEnd;
  readonly to: WindowEnd;
  /** the backup that opens it */
  readonly backup: string;
}

export interface WindowEnd {
  readonly lsn: Lsn;
  readonly time: Date | undefined;
}

/** WAL that something needs and that is not there: segments `first` to `last`, both included. */
export interface HoleFacts {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
  /** who said that it is known, and why; undefined when nobody did */
  readonly acknowledged: string | undefined;
}

/** What `pgark prune` would do now. */
export interface RetentionOutlook {
  /** backups that would stay, and that would go */
  readonly keep: number;
  readonly expire: number;
  /** WAL segments that would go */
  readonly segments: number;
  /** as stored, of all that would go; those of much WAL are reckoned from a sample */
  readonly freedBytes: number;
  /** why it would do nothing; undefined when it would do its work */
  readonly refused: string | undefined;
}

/** What a running server says. */
export interface ServerFacts {
  /** "host:port" */
  readonly target: string;
  readonly identity: ClusterIdentity;
  /** "17.10" */
  readonly serverVersion: string;
  readonly inRecovery: boolean;
  readonly timeline: TimelineId;
  /** how far WAL has been written (on a standby: received or replayed) */
  readonly position: Lsn;
  readonly archiveMode: "off" | "on" | "always";
  /** false: neither a command nor a library; undefined when the role may not see it */
  readonly archiveSet: boolean | undefined;
  readonly archiveTimeoutSeconds: number;
  /** how far the server's clock is ahead of ours, in milliseconds */
  readonly clockAheadMs: number;
  readonly archiver: ArchiverStatistics;
}

/** `pg_stat_archiver`. Times are by our clock. */
export interface ArchiverStatistics {
  readonly archived: number;
  readonly failed: number;
  readonly lastArchived: ArchiverEvent | undefined;
  readonly lastFailed: ArchiverEvent | undefined;
  /** its last try failed */
  readonly failing: boolean;
}

export interface ArchiverEvent {
  readonly name: string;
  readonly time: Date;
}

/** The files that PostgreSQL has finished and that were not archived yet: all `.ready` files. */
export interface BacklogFacts {
  readonly files: number;
  /** the one that has waited longest, and since when by our clock */
  readonly oldest: { readonly name: string; readonly since: Date } | undefined;
}

/** The repository holds a file of the name that PostgreSQL fails to archive. */
export interface TakenName {
  readonly name: string;
  /** whether it is the same; undefined where the server's file could not be read */
  readonly same: boolean | undefined;
  /** who wrote it and when; undefined when its head cannot be read */
  readonly writer: string | undefined;
  readonly written: Date | undefined;
}

/** A background pusher that takes finished segments ahead of PostgreSQL's asking. */
export interface ArchiverFacts {
  readonly running: boolean;
  /** files that it has stored and that PostgreSQL has not asked for yet */
  readonly ahead: number;
  /** what it fails at; undefined when its last try was a success */
  readonly failure: { readonly name: string; readonly problem: string; readonly since: Date } | undefined;
}

/** One of several repositories that WAL goes to. */
export interface RepositoryFacts {
  readonly url: string;
  /** WAL files that another one has and this one has not */
  readonly missingFiles: number;
  /** the names of the first and the last of them */
  readonly firstMissing: string | undefined;
  readonly lastMissing: string | undefined;
  /** why it could not be asked; undefined when it could */
  readonly problem: string | undefined;
}
