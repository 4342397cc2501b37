import { PgarkError } from "../errors.ts";
import { formatIdentity } from "./cluster-identity.ts";
import type { ClusterIdentity } from "./cluster-identity.ts";
import { formatLsn, lsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { timelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";
import { isValidSegmentSize, segmentNumber, segmentStart } from "./wal-file-name.ts";
import type { WalFileName } from "./wal-file-name.ts";

/** What the first page of a WAL segment says of it. */
export interface WalHeader {
  readonly magic: number;
  /** undefined for a magic number that this table does not know: a server newer than this pgark, or a beta */
  readonly majorVersion: number | undefined;
  readonly timeline: TimelineId;
  /** the LSN of the segment's first byte */
  readonly pageAddress: Lsn;
  readonly systemIdentifier: bigint;
  /** bytes */
  readonly segmentSize: number;
  /** bytes of a WAL page */
  readonly blockSize: number;
}

/** Bytes of XLogLongPageHeaderData; a reader of headers needs no more than these. */
export const WAL_HEADER_SIZE = 40;

/** XLP_LONG_HEADER: the page header carries the fields of the first page of a segment. */
const LONG_HEADER = 0x0002;
/** XLP_ALL_FLAGS of the versions in the table below; a newer one may have more. */
const ALL_FLAGS = 0x000f;

/** XLOG_PAGE_MAGIC of each major version (src/include/access/xlog_internal.h). */
const MAJOR_VERSIONS: ReadonlyMap<number, number> = new Map([
  [0xd106, 13],
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
]);

/**
 * Reads the header at the beginning of a segment (XLogLongPageHeaderData, little-endian).
 * Throws `corrupt`, about the file `name`, on bytes that no PostgreSQL writes there.
 */
export function readWalHeader(bytes: Uint8Array, name?: string): WalHeader {
  if (bytes.length < WAL_HEADER_SIZE) throw notWal(name, `only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, WAL_HEADER_SIZE);
  const magic = view.getUint16(0, true);
  const info = view.getUint16(2, true);
  const header: WalHeader = {
    magic,
    majorVersion: MAJOR_VERSIONS.get(magic),
    timeline: timelineId(view.getUint32(4, true)),
    pageAddress: lsn(view.getBigUint64(8, true)),
    systemIdentifier: view.getBigUint64(24, true),
    segmentSize: view.getUint32(32, true),
    blockSize: view.getUint32(36, true),
  };
  if (magic >> 8 !== 0xd1) throw notWal(name, `it begins with ${hex4(magic)}, not with the magic number of a WAL page`);
  const unknownFlags = header.majorVersion !== undefined && (info & ~ALL_FLAGS) !== 0;
  if ((info & LONG_HEADER) === 0 || unknownFlags) throw notWal(name, "its first page has no long header");
  if (!isValidSegmentSize(header.segmentSize))
    throw notWal(name, `its header says segments of ${header.segmentSize} bytes`);
  if (!isValidBlockSize(header.blockSize)) throw notWal(name, `its header says pages of ${header.blockSize} bytes`);
  if (header.timeline === 0) throw notWal(name, "its header says timeline 0");
  if (header.pageAddress % BigInt(header.segmentSize) !== 0n) {
    throw notWal(name, `its header's address ${formatLsn(header.pageAddress)} is not the beginning of a segment`);
  }
  return header;
}

export interface VerifyWalSegmentOptions {
  readonly name: Extract<WalFileName, { readonly kind: "segment" | "partial" }>;
  /** the whole file */
  readonly bytes: Uint8Array;
  /** whose WAL it has to be; without it only the file itself is checked */
  readonly identity?: ClusterIdentity | undefined;
}

/** As `verifyWalHeader`, for a segment that is in memory. */
export function verifyWalSegment(options: VerifyWalSegmentOptions): WalHeader {
  return verifyWalHeader({
    name: options.name,
    header: readWalHeader(options.bytes, options.name.name),
    size: options.bytes.length,
    identity: options.identity,
  });
}

export interface VerifyWalHeaderOptions {
  readonly name: Extract<WalFileName, { readonly kind: "segment" | "partial" }>;
  readonly header: WalHeader;
  /** bytes of the file, `.partial` files too: PostgreSQL keeps them at full size */
  readonly size: number;
  readonly identity?: ClusterIdentity | undefined;
}

/**
 * Checks that a segment is what its name says, as XLogReaderValidatePageHeader would. `corrupt` when size, address or
 * timeline do not fit; `identity-mismatch` when it is another cluster's. The timeline of the header may be older than the
 * name's: a promotion copies the beginning of the last segment of the old timeline into the first one of the new.
 */
export function verifyWalHeader({ name, header, size, identity }: VerifyWalHeaderOptions): WalHeader {
  // whose it is comes first: of a foreign segment, everything else may differ too, and only this answer helps
  if (identity !== undefined) verifyIdentity(name.name, header, identity);
  if (size !== header.segmentSize) {
    throw wrongSegment(name.name, `${size} bytes, but its header says segments of ${header.segmentSize}`);
  }
  const address = segmentStart(segmentNumber(name, header.segmentSize), header.segmentSize);
  if (header.pageAddress !== address) {
    throw wrongSegment(
      name.name,
      `its header has the address ${formatLsn(header.pageAddress)}, its name says ${formatLsn(address)}`,
    );
  }
  if (header.timeline > name.timeline) {
    throw wrongSegment(
      name.name,
      `its header says timeline ${header.timeline}, later than its name's ${name.timeline}`,
    );
  }
  return header;
}

function verifyIdentity(name: string, header: WalHeader, identity: ClusterIdentity): void {
  const { majorVersion, systemIdentifier } = header;
  const sameVersion = majorVersion === undefined || majorVersion === identity.majorVersion;
  if (sameVersion && systemIdentifier === identity.systemIdentifier) return;
  const found = formatIdentity({ majorVersion: majorVersion ?? identity.majorVersion, systemIdentifier });
  const expected = formatIdentity(identity);
  throw new PgarkError("identity-mismatch", `the WAL segment is of cluster ${found}, not of ${expected}`, {
    operation: "verify WAL segment",
    object: name,
    hint: "each cluster archives under a name of its own: check which cluster this server's settings name",
    facts: { found, expected },
  });
}

const NOT_AS_WRITTEN =
  "this is no file as PostgreSQL wrote it: it was cut short, damaged or renamed; look for another copy of it, and take a new backup if there is none";

function isValidBlockSize(size: number): boolean {
  return size >= 1024 && size <= 65536 && Number.isInteger(Math.log2(size));
}

function notWal(name: string | undefined, reason: string): PgarkError {
  return new PgarkError("corrupt", `not a WAL segment: ${reason}`, {
    operation: "read WAL header",
    object: name,
    hint: NOT_AS_WRITTEN,
  });
}

function wrongSegment(name: string, reason: string): PgarkError {
  return new PgarkError("corrupt", `the WAL segment is not what its name says: ${reason}`, {
    operation: "verify WAL segment",
    object: name,
    hint: NOT_AS_WRITTEN,
  });
}

function hex4(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, "0");
}
