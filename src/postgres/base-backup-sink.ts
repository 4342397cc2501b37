import type { Lsn } from "./lsn.ts";
import type { TimelineId } from "./timeline.ts";

/** Where a base backup goes. A promise that is returned is waited for before anything else comes. */
export interface BaseBackupSink {
  /** first of all, once */
  begin(info: BaseBackupBeginning): void | Promise<void>;
  /** a tar archive begins, and so the one before has ended */
  archive(info: {
    /** undefined for PGDATA itself; files of a tablespace are named from its location: `PG_17_.../...` */
    readonly tablespaceOid: number | undefined;
  }): void | Promise<void>;
  /** more of the archive. The bytes are the driver's and change once this has returned, or its promise has resolved */
  data(chunk: Uint8Array): void | Promise<void>;
  /** more of `backup_manifest`, after all archives; the same rule */
  manifest(chunk: Uint8Array): void | Promise<void>;
}

export interface BaseBackupBeginning {
  readonly startLsn: Lsn;
  readonly timeline: TimelineId;
  readonly tablespaces: readonly StreamedTablespace[];
  /** bytes of all archives, roughly; undefined unless asked for */
  readonly size: number | undefined;
}

export interface StreamedTablespace {
  readonly oid: number;
  /** undefined for an in-place tablespace */
  readonly location: string | undefined;
  /** bytes, roughly; undefined unless asked for */
  readonly size: number | undefined;
}

/** A notice or warning of the server. */
export interface ServerNotice {
  readonly severity: string;
  readonly message: string;
  readonly sqlstate: string | undefined;
}

/** Where the backup began and ended. */
export interface BaseBackupPositions {
  readonly startLsn: Lsn;
  readonly startTimeline: TimelineId;
  readonly stopLsn: Lsn;
  readonly stopTimeline: TimelineId;
}
