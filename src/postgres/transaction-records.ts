import { INFO_MASK, RM_XACT, RM_XLOG } from "./wal-record.ts";
import type { WalRecord } from "./wal-record.ts";

/** The end of a transaction, as its record tells it. */
export interface TransactionEnd {
  readonly kind: "commit" | "abort";
  /** of the transaction that ended: of a prepared one, that one's, not the record's; 0 for one that wrote nothing else */
  readonly xid: number;
  /** microseconds since 1970 */
  readonly time: bigint;
}

/** What `pg_create_restore_point` wrote. */
export interface RestorePoint {
  readonly name: string;
  /** microseconds since 1970 */
  readonly time: bigint;
}

/** The end of a recovery: the first record of a new timeline, or the first after a crash. */
export interface EndOfRecovery {
  /** microseconds since 1970 */
  readonly time: bigint;
  readonly timeline: number;
  readonly previousTimeline: number;
}

// src/include/access/xact.h
const XACT_OPERATION_MASK = 0x70;
const XACT_HAS_INFO = 0x80;
const XACT_COMMIT = 0x00;
const XACT_ABORT = 0x20;
const XACT_COMMIT_PREPARED = 0x30;
const XACT_ABORT_PREPARED = 0x40;

// src/include/catalog/pg_control.h
const XLOG_RESTORE_POINT = 0x70;
const XLOG_END_OF_RECOVERY = 0x90;

/** What comes between a transaction's flags and its prepared transaction's number: a fixed size, or a count and so many of it. */
const HAS_DATABASE = 1 << 0;
const HAS_SUBTRANSACTIONS = 1 << 1;
const HAS_RELATIONS = 1 << 2;
const HAS_INVALIDATIONS = 1 << 3;
const HAS_PREPARED = 1 << 4;
const HAS_DROPPED_STATISTICS = 1 << 8;

/** The commit or abort of a transaction, prepared ones included; undefined for any other record. */
export function readTransactionEnd(record: WalRecord): TransactionEnd | undefined {
  if (record.resourceManager !== RM_XACT) return undefined;
  const operation = record.info & XACT_OPERATION_MASK;
  const commits = operation === XACT_COMMIT || operation === XACT_COMMIT_PREPARED;
  if (!commits && operation !== XACT_ABORT && operation !== XACT_ABORT_PREPARED) return undefined;
  const data = viewOf(record);
  if (data === undefined || data.byteLength < 8) return undefined;
  const prepared = operation === XACT_COMMIT_PREPARED || operation === XACT_ABORT_PREPARED;
  const xid = prepared ? preparedXid(data, record) : record.xid;
  return xid === undefined ? undefined : { kind: commits ? "commit" : "abort", xid, time: readTime(data, 0) };
}

/** The restore point that a record is; undefined for any other record. */
export function readRestorePoint(record: WalRecord): RestorePoint | undefined {
  if (record.resourceManager !== RM_XLOG || (record.info & INFO_MASK) !== XLOG_RESTORE_POINT) return undefined;
  const data = viewOf(record);
  if (data === undefined || data.byteLength < 9) return undefined;
  const bytes = new Uint8Array(data.buffer, data.byteOffset + 8, data.byteLength - 8);
  const end = bytes.indexOf(0);
  const name = new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  return { name, time: readTime(data, 0) };
}

/** The end of a recovery; undefined for any other record. A recovery may also end with a checkpoint alone. */
export function readEndOfRecovery(record: WalRecord): EndOfRecovery | undefined {
  if (record.resourceManager !== RM_XLOG || (record.info & INFO_MASK) !== XLOG_END_OF_RECOVERY) return undefined;
  const data = viewOf(record);
  if (data === undefined || data.byteLength < 16) return undefined;
  return { time: readTime(data, 0), timeline: data.getUint32(8, true), previousTimeline: data.getUint32(12, true) };
}

/** Walks over what ParseCommitRecord and ParseAbortRecord do (src/backend/access/rmgrdesc/xactdesc.c). */
function preparedXid(data: DataView, { info, majorVersion }: WalRecord): number | undefined {
  if ((info & XACT_HAS_INFO) === 0 || data.byteLength < 12) return undefined;
  const flags = data.getUint32(8, true);
  let at = 12;
  const skipCounted = (flag: number, size: number): void => {
    if ((flags & flag) === 0) return;
    at += 4 + (at + 4 <= data.byteLength ? data.getUint32(at, true) * size : 0);
  };
  if ((flags & HAS_DATABASE) !== 0) at += 8;
  skipCounted(HAS_SUBTRANSACTIONS, 4);
  skipCounted(HAS_RELATIONS, 12);
  skipCounted(HAS_DROPPED_STATISTICS, majorVersion >= 18 ? 16 : 12);
  skipCounted(HAS_INVALIDATIONS, 16);
  if ((flags & HAS_PREPARED) === 0 || at + 4 > data.byteLength) return undefined;
  return data.getUint32(at, true);
}

function viewOf(record: WalRecord): DataView | undefined {
  const data = record.mainData();
  return data && new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/** Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin. */
const POSTGRES_EPOCH = 946_684_800_000_000n;

function readTime(data: DataView, at: number): bigint {
  return data.getBigInt64(at, true) + POSTGRES_EPOCH;
}
