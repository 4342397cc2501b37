import type { MessagePort } from "node:worker_threads";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import type { Lsn } from "../../postgres/lsn.ts";
import type { WalFileName } from "../../postgres/wal-file-name.ts";
import type { WalSegmentCheck } from "../../postgres/wal-segment-check.ts";
import type { ObjectHead } from "../envelope/object-head.ts";
import type { SharedParts } from "./shared-parts.ts";

/** A stored pack that is read to see whether it is whole. */
export interface CheckPackTask {
  /** the stored bytes before the payload, which come in no part */
  readonly header: Uint8Array;
  readonly key: Uint8Array | undefined;
  /** of all bytes as stored, hexadecimal */
  readonly sha256: string;
  /** stored bytes that come in parts */
  readonly storedSize: number;
  readonly files: readonly CheckFile[];
  /** how pages are to be checked; undefined leaves them be */
  readonly pages: PageCheck | undefined;
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** A file that must be in a pack; in the order of `offset`. */
export interface CheckFile {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  readonly crc32c: number;
  /** the number of its first page within its relation, or undefined when it has no page checksums */
  readonly firstBlock: number | undefined;
  /** numbers, within the file, of pages that were known to be bad when it was copied */
  readonly badPages: readonly number[];
  /** whether its content is wanted; for small files */
  readonly wanted: boolean;
}

export interface PageCheck {
  readonly blockSize: number;
  /**
   * Pages that were changed at this LSN or later may be torn, for replay writes them anew; undefined where none may be: the
   * backup read such pages again until they were whole.
   */
  readonly tornFrom: bigint | undefined;
}

export interface CheckedPack {
  readonly faults: readonly PackFault[];
  /** of the files that were wanted, as far as they were whole */
  readonly contents: readonly { readonly path: string; readonly content: Uint8Array }[];
}

export interface PackFault {
  /** what of the pack: `stored` all of it as stored, `content` what it decrypts and decompresses to, `file`, `pages` of one */
  readonly kind: "stored" | "content" | "file" | "pages";
  readonly path: string | undefined;
  /** lower case, without a full stop */
  readonly problem: string;
}

/** A WAL segment, or a `.partial` one, that is read to see whether it is whole. */
export interface CheckWalTask {
  readonly name: Extract<WalFileName, { readonly kind: "segment" | "partial" }>;
  readonly identity: ClusterIdentity;
  /** what the object's head says */
  readonly head: Pick<ObjectHead, "digest" | "size">;
  readonly key: Uint8Array | undefined;
  /** the stored bytes before the payload, which come in no part */
  readonly header: Uint8Array;
  /** memory for the plain bytes, as large as a segment */
  readonly plain: SharedArrayBuffer;
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** `misplaced`: whole, but not the segment that its name says, or another cluster's. */
export type CheckedWal =
  | {
      readonly kind: "read";
      /** undefined for WAL of a PostgreSQL whose records this pgark does not know */
      readonly check: WalSegmentCheck | undefined;
      /** the end of the pages that it begins with and that are of an older timeline than its name's */
      readonly inheritedUntil: Lsn;
      /** bytes of a WAL page */
      readonly blockSize: number;
    }
  | { readonly kind: "damaged" | "misplaced"; readonly problem: string };
