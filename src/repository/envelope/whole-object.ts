import { createHash } from "node:crypto";
import { PgarkError } from "../../errors.ts";
import { makeHeader, openHeader } from "./age-header.ts";
import type { ObjectHead } from "./object-head.ts";
import { headFrame, readObjectHead } from "./object-head.ts";
import { PayloadReader } from "./payload-reader.ts";
import { PayloadWriter } from "./payload-writer.ts";
import { openZstd } from "./zstd.ts";

export interface SealOptions {
  /** none: not encrypted */
  readonly recipients: readonly string[];
  readonly level: number;
  readonly writer: string;
  readonly now: Date;
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The stored form of something that fits in memory: a WAL segment, a timeline history. */
export async function sealObject(plain: Uint8Array, options: SealOptions): Promise<Uint8Array> {
  const head: ObjectHead = {
    sha256: sha256Hex(plain),
    size: plain.length,
    writer: options.writer,
    written: options.now,
  };
  const header = options.recipients.length === 0 ? undefined : await makeHeader(options.recipients, head);
  const pieces: Uint8Array[] = [];
  const writer = new PayloadWriter({
    zstd: openZstd(options.level),
    header,
    write: (bytes) => pieces.push(Uint8Array.from(bytes)),
  });
  if (header === undefined) writer.writeRaw(headFrame(head));
  writer.write(plain);
  writer.end(false);
  return Buffer.concat(pieces);
}

/**
 * The plain content of a stored object, authenticated and checked against the digest in its head. Throws `corrupt` when
 * anything does not fit, `no-identity` when it cannot be decrypted.
 */
export async function openObject(
  stored: Uint8Array,
  options: { readonly encrypted: boolean; readonly identities: readonly string[] },
): Promise<{ readonly plain: Uint8Array; readonly head: ObjectHead }> {
  const opened = options.encrypted ? await openHeader(stored, options.identities) : undefined;
  const pieces: Uint8Array[] = [];
  const reader = new PayloadReader({
    zstd: openZstd(1),
    key: opened?.key,
    plain: (bytes) => pieces.push(Uint8Array.from(bytes)),
  });
  reader.write(stored.subarray(opened?.size ?? 0));
  reader.end();
  const plain = Buffer.concat(pieces);
  const head = readObjectHead(stored);
  if (head === undefined || head.size !== plain.length || head.sha256 !== sha256Hex(plain)) {
    throw new PgarkError("corrupt", "the content is not what the object's head says", { operation: "read object" });
  }
  return { plain, head };
}
