import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "@node-rs/crc32";
import { errnoOf, ioError, isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "./cluster-identity.ts";
import { lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { timelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";

/** What a cluster was doing when `pg_control` was last written, in pg_controldata's words (DBState). */
export type ClusterState = (typeof STATES)[number];

/** The fields of `global/pg_control` that matter to backups. */
export interface ControlFile {
  readonly systemIdentifier: bigint;
  /** PG_CONTROL_VERSION: 1300 (PostgreSQL 13 to 16), 1700, 1800 */
  readonly controlVersion: number;
  readonly catalogVersion: number;
  readonly state: ClusterState;
  /** when it was last written, in seconds since 1970 */
  readonly modified: number;
  /** where the latest checkpoint's record lies */
  readonly checkpointLsn: Lsn;
  /** where replay from the latest checkpoint begins */
  readonly redoLsn: Lsn;
  /** of the latest checkpoint */
  readonly timeline: TimelineId;
  /** how far a standby must replay to be consistent; 0 on a primary */
  readonly minRecoveryPoint: Lsn;
  /** of `minRecoveryPoint`; undefined on a primary */
  readonly minRecoveryTimeline: TimelineId | undefined;
  readonly dataChecksums: boolean;
  /** bytes */
  readonly walSegmentSize: number;
  /** bytes of a data page */
  readonly blockSize: number;
  /** pages in each file of a large relation but the last (131072 of 8 KiB: 1 GiB) */
  readonly relationSegmentBlocks: number;
}

const STATES = [
  "starting up",
  "shut down",
  "shut down in recovery",
  "shutting down",
  "in crash recovery",
  "in archive recovery",
  "in production",
] as const;

/** Where the CRC lies: right after the fields, of which 18 has one more. */
const CRC_OFFSETS: ReadonlyMap<number, number> = new Map([
  [1300, 288],
  [1700, 288],
  [1800, 292],
]);

/** Reads of a file that a running server rewrites in place may be torn; so many are made before the file is believed broken. */
const READ_ATTEMPTS = 10;

const CONTROL_FILE = "global/pg_control";

/**
 * Reads the bytes of `pg_control` (ControlFileData, src/include/catalog/pg_control.h, as little-endian 64-bit machines
 * write it). Throws `corrupt` when the CRC does not hold, `refused` for a version that this pgark does not know.
 */
export function parseControlFile(bytes: Uint8Array): ControlFile {
  if (bytes.length < 296) throw corruptControlFile(`pg_control has only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const controlVersion = view.getUint32(8, true);
  const crcOffset = CRC_OFFSETS.get(controlVersion);
  if (crcOffset === undefined) throw unknownControlVersion(controlVersion);
  if (crc32c(bytes.subarray(0, crcOffset)) !== view.getUint32(crcOffset, true)) {
    throw corruptControlFile("the checksum of pg_control does not hold");
  }
  const state = STATES[view.getUint32(16, true)];
  if (state === undefined) throw corruptControlFile("pg_control holds an unknown cluster state");
  const minRecoveryTimeline = view.getUint32(144, true);
  return {
    systemIdentifier: view.getBigUint64(0, true),
    controlVersion,
    catalogVersion: view.getUint32(12, true),
    state,
    modified: Number(view.getBigInt64(24, true)),
    checkpointLsn: lsn(view.getBigUint64(32, true)),
    redoLsn: lsn(view.getBigUint64(40, true)),
    timeline: timelineId(view.getUint32(48, true)),
    minRecoveryPoint: lsn(view.getBigUint64(136, true)),
    minRecoveryTimeline: minRecoveryTimeline === 0 ? undefined : timelineId(minRecoveryTimeline),
    blockSize: view.getUint32(216, true),
    relationSegmentBlocks: view.getUint32(220, true),
    walSegmentSize: view.getUint32(228, true),
    dataChecksums: view.getUint32(252, true) !== 0,
  };
}

/** Reads `global/pg_control` of a data directory; a server may be running on it. */
export function readControlFile(pgdata: string): ControlFile {
  const path = join(pgdata, CONTROL_FILE);
  for (let attempt = 1; ; attempt++) {
    const bytes = readPgdataFile(pgdata, path);
    try {
      return parseControlFile(bytes);
    } catch (error) {
      if (attempt < READ_ATTEMPTS && isPgarkError(error, "corrupt")) continue;
      throw error;
    }
  }
}

/** The major version in `PG_VERSION`. */
export function readMajorVersion(pgdata: string): number {
  const path = join(pgdata, "PG_VERSION");
  const text = readPgdataFile(pgdata, path).toString("latin1").trim();
  if (/^\d{2}$/.test(text)) return Number(text);
  throw new PgarkError("refused", "PG_VERSION does not name a version of PostgreSQL that pgark knows", {
    operation: "read data directory",
    object: path,
    hint: "pgark needs PostgreSQL 14 or newer",
    facts: { version: text.slice(0, 20) },
  });
}

/** The identity of the cluster in a data directory, whether a server runs on it or not. */
export function readClusterIdentity(pgdata: string): ClusterIdentity {
  return { majorVersion: readMajorVersion(pgdata), systemIdentifier: readControlFile(pgdata).systemIdentifier };
}

function readPgdataFile(pgdata: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    switch (errnoOf(cause)) {
      case "ENOENT":
      case "ENOTDIR":
        throw new PgarkError("refused", "not a data directory of PostgreSQL", {
          operation: "read data directory",
          object: pgdata,
          cause,
          hint: `${path} does not exist: name the directory that holds PG_VERSION and global/pg_control`,
        });
      case "EACCES":
      case "EPERM":
        throw new PgarkError("denied", "no permission to read the data directory", {
          operation: "read data directory",
          object: pgdata,
          cause,
          hint: "run pgark as the user that owns the data directory, usually postgres",
        });
      default:
        throw ioError("read data directory", path, cause);
    }
  }
}

function unknownControlVersion(version: number): PgarkError {
  const swapped = version % 65536 === 0 && version !== 0;
  return new PgarkError("refused", `pg_control has version ${version}, which pgark does not know`, {
    operation: "read control file",
    object: CONTROL_FILE,
    hint: swapped
      ? "the cluster was made on a machine of another byte order"
      : "pgark knows PostgreSQL 14 to 18; a newer PostgreSQL needs a newer pgark",
  });
}

function corruptControlFile(problem: string): PgarkError {
  return new PgarkError("corrupt", problem, {
    operation: "read control file",
    object: CONTROL_FILE,
    hint: "if the server runs well, try again; if it does not, restore the cluster from a backup",
  });
}
