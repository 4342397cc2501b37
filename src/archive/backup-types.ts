import type { Log, OnProgress } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { ManifestWriter } from "../repository/manifest-writer.ts";
import type { PackUploader } from "../repository/pack-uploader.ts";
import type { Lsn } from "../postgres/lsn.ts";
import type { ServerInfo } from "../postgres/server-info.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { SignalOption } from "../storage/object-store.ts";

export interface BackupOptions extends SignalOption {
  readonly connection: {
    readonly connectionString?: string | undefined;
    readonly environment: Readonly<Record<string, string | undefined>>;
  };
  /** over the replication protocol, without looking at PGDATA */
  readonly remote: boolean;
  /** where PGDATA is here, when that is not where the server says */
  readonly pgdata: string | undefined;
  /** worker threads */
  readonly jobs: number;
  readonly level: number;
  /** an immediate checkpoint */
  readonly fast: boolean;
  /** bytes a second to read at most */
  readonly rate?: number | undefined;
  /** how long to wait for the last WAL to arrive in the repository */
  readonly walTimeoutMs: number;
  readonly host: string;
  readonly version: string;
  readonly now: () => Date;
  readonly log: Log;
  readonly onProgress: OnProgress;
}

export interface TakenBackup {
  readonly record: BackupRecord;
  readonly warnings: readonly string[];
  readonly badPages: readonly BadPage[];
}

export interface BadPage {
  readonly path: string;
  /** number of the page within the file */
  readonly block: number;
}

/** What both ways of copying work with. */
export interface BackupJob {
  readonly options: BackupOptions;
  readonly identity: ClusterIdentity;
  readonly server: ServerInfo;
  readonly label: string;
  readonly uploader: PackUploader;
  readonly manifest: ManifestWriter;
  /** ends all work of this backup because of an error */
  readonly fail: (error: unknown) => void;
  /** fires when the caller stops, the session is lost or a part of the work has failed */
  readonly signal: AbortSignal;
}

/** What a way of copying gives back once all files are in the repository and the server has left backup mode. */
export interface CopiedCluster {
  readonly startLsn: Lsn;
  readonly stopLsn: Lsn;
  readonly timeline: TimelineId;
  readonly startTime: Date;
  readonly stopTime: Date;
  readonly tablespaces: BackupRecord["tablespaces"];
  readonly warnings: readonly string[];
  /** the server found bad pages; only a remote copy leaves the looking to the server, which tells files but not pages */
  readonly checksumFailures: boolean;
}
