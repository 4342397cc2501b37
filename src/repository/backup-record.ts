import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Lsn } from "../postgres/lsn.ts";
import type { TimelineId } from "../postgres/timeline.ts";

/** What `backup.json` says of a complete backup. A backup exists when this object does. */
export interface BackupRecord {
  readonly label: string;
  readonly type: "full";
  readonly identity: ClusterIdentity;
  /** the timeline that the backup was taken on */
  readonly timeline: TimelineId;
  /** where replay must begin; its segment is the first one needed */
  readonly startLsn: Lsn;
  /** where the backup becomes consistent; WAL up to here is needed to restore it at all */
  readonly stopLsn: Lsn;
  /** by the server's clock */
  readonly startTime: Date;
  /** by the server's clock */
  readonly stopTime: Date;
  readonly walSegmentSize: number;
  readonly source: "primary" | "standby";
  readonly method: "local" | "remote";
  /** as the server says it, "17.10" */
  readonly serverVersion: string;
  readonly dataChecksums: boolean;
  readonly encrypted: boolean;
  readonly tablespaces: readonly Tablespace[];
  readonly files: number;
  /** plain bytes of all files */
  readonly bytes: number;
  /** bytes of all packs as stored */
  readonly storedBytes: number;
  readonly packs: number;
  /** pages whose checksum does not hold; the manifest lists them */
  readonly badPages: number;
  /** SHA-256, hexadecimal, of the manifest object as stored, and its size */
  readonly manifest: { readonly sha256: string; readonly size: number };
  /** who took it: host name and version of pgark */
  readonly host: string;
  readonly pgark: string;
}

export interface Tablespace {
  readonly oid: number;
  /** where it was; undefined for an in-place tablespace, which lies inside PGDATA */
  readonly location: string | undefined;
}
