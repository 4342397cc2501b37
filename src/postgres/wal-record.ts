import { lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";

/** Bytes of XLogRecord, the header that every record begins with (src/include/access/xlogrecord.h). */
export const RECORD_HEADER = 24;
/** No record is longer: PostgreSQL could not read it (XLogRecordMaxSize, a little less, since 16). */
export const MAX_RECORD_LENGTH = 0x3fffffff;
/** Bytes of a page header but a segment's first (XLogPageHeaderData). */
export const PAGE_HEADER = 24;
/** Bytes of a segment's first page header (XLogLongPageHeaderData). */
export const FIRST_PAGE_HEADER = 40;

/** Resource managers (src/include/access/rmgrlist.h). */
export const RM_XLOG = 0;
export const RM_XACT = 1;
/** The last of PostgreSQL's own: logical messages. */
const RM_LAST = 21;
/** The first one that extensions may bring, from PostgreSQL 15 on. */
const RM_FIRST_CUSTOM = 128;

/** XLOG_SWITCH, of RM_XLOG. */
const XLOG_SWITCH = 0x40;
/** The bits of `info` that tell a resource manager's records apart. */
export const INFO_MASK = 0xf0;

/** RmgrIdIsValid */
export function isResourceManager(id: number, majorVersion: number): boolean {
  return id <= RM_LAST || (id >= RM_FIRST_CUSTOM && majorVersion >= 15);
}

/** Whether a record's `info` and resource manager are those of a switch to the next segment. */
export function isSwitch(resourceManager: number, info: number): boolean {
  return resourceManager === RM_XLOG && (info & INFO_MASK) === XLOG_SWITCH;
}

/** One record, valid only during the visit that it was handed to: the next record is told by the same object. */
export interface WalRecord {
  readonly lsn: Lsn;
  /** where the next record may begin */
  readonly endLsn: Lsn;
  readonly resourceManager: number;
  /** xl_info: what kind of record it is to its resource manager, and flags */
  readonly info: number;
  /** 0 where no transaction wrote it */
  readonly xid: number;
  /** bytes, header and all */
  readonly totalLength: number;
  readonly majorVersion: number;
  /** The bytes of the record, header first, without the page headers in between; undefined when they were not kept. */
  contents(): Uint8Array | undefined;
  /** The record's data apart from that of the pages it changes; undefined too when its headers make no sense. */
  mainData(): Uint8Array | undefined;
}

type ReadContents = (offset: number, length: number) => Uint8Array | undefined;

/** What a record is told by; who makes it fills it anew for each one. */
export class RecordView implements WalRecord {
  readonly majorVersion: number;
  resourceManager = 0;
  info = 0;
  xid = 0;
  totalLength = 0;
  /** bytes that `offset` and `nextOffset` count from */
  readonly #base: bigint;
  offset = 0;
  nextOffset = 0;
  readonly #read: ReadContents;

  /** @param read the bytes of the record at an offset, without page headers */
  constructor(majorVersion: number, base: Lsn, read: ReadContents) {
    this.majorVersion = majorVersion;
    this.#base = base;
    this.#read = read;
  }

  get lsn(): Lsn {
    return lsn(this.#base + BigInt(this.offset));
  }

  get endLsn(): Lsn {
    return lsn(this.#base + BigInt(this.nextOffset));
  }

  contents(): Uint8Array | undefined {
    return this.#read(this.offset, this.totalLength);
  }

  mainData(): Uint8Array | undefined {
    const contents = this.contents();
    if (contents === undefined) return undefined;
    const length = mainDataLength(contents, this.majorVersion);
    return length === undefined ? undefined : contents.subarray(contents.length - length);
  }
}

// what follows a record's header: one header for each block, and at last one for the main data
const MAX_BLOCK_ID = 32;
const DATA_SHORT = 255;
const DATA_LONG = 254;
const ORIGIN = 253;
const TOPLEVEL_XID = 252;
const BLOCK_HAS_IMAGE = 0x10;
const BLOCK_SAME_RELATION = 0x80;
const IMAGE_HAS_HOLE = 0x01;

/**
 * The length of a record's main data, which are its last bytes, read from its block headers as DecodeXLogRecord does
 * (src/backend/access/transam/xlogreader.c). undefined for headers that contradict the record's length or one another.
 */
function mainDataLength(record: Uint8Array, majorVersion: number): number | undefined {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  // PGLZ, LZ4 or zstd; until 14 there was PGLZ alone, and one bit for it
  const compressed = majorVersion >= 15 ? 0x1c : 0x02;
  let at = RECORD_HEADER;
  let payload = 0;
  // the shortest headers are two bytes long
  while (at + payload + 2 <= record.length) {
    const id = record[at] as number;
    if (id === DATA_SHORT || id === DATA_LONG) {
      const headerLength = id === DATA_SHORT ? 2 : 5;
      if (at + headerLength > record.length) return undefined;
      const length = id === DATA_SHORT ? view.getUint8(at + 1) : view.getUint32(at + 1, true);
      return at + headerLength + payload + length === record.length ? length : undefined;
    }
    if (id === ORIGIN) {
      at += 3;
    } else if (id === TOPLEVEL_XID) {
      at += 5;
    } else if (id <= MAX_BLOCK_ID) {
      // a block's header, its image's, a relation and a block number are 27 bytes at the most
      if (at + 4 > record.length) return undefined;
      const flags = record[at + 1] as number;
      payload += view.getUint16(at + 2, true);
      at += 4;
      if ((flags & BLOCK_HAS_IMAGE) !== 0) {
        if (at + 5 > record.length) return undefined;
        payload += view.getUint16(at, true);
        const image = record[at + 4] as number;
        at += (image & IMAGE_HAS_HOLE) !== 0 && (image & compressed) !== 0 ? 7 : 5;
      }
      at += (flags & BLOCK_SAME_RELATION) === 0 ? 16 : 4;
    } else {
      return undefined;
    }
  }
  return at + payload === record.length ? 0 : undefined;
}
