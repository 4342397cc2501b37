import { PgarkError } from "../../errors.ts";
import { openHeader } from "./age-header.ts";
import { newContentDigest } from "./content-digest.ts";
import type { ObjectHead } from "./object-head.ts";
import { headReadSize, readObjectHead } from "./object-head.ts";
import { ObjectSealer, SealWorkspace } from "./object-sealer.ts";
import type { SealOptions } from "./object-sealer.ts";
import { PayloadReader } from "./payload-reader.ts";
import { frameSize } from "./payload-writer.ts";
import { openZstd } from "./zstd.ts";

export interface SealObjectOptions extends SealOptions {
  /** none: not encrypted */
  readonly recipients: readonly string[];
  readonly level: number;
}

/** The stored form of something that is in memory, with its head. */
export async function sealObject(plain: Uint8Array, options: SealObjectOptions): Promise<Uint8Array> {
  const sealer = await ObjectSealer.begin({
    workspace: new SealWorkspace(options.level),
    size: plain.length,
    recipientSets: [options.recipients],
    writer: options.writer,
    now: options.now,
  });
  for (let offset = 0; offset < plain.length; offset += frameSize) {
    sealer.write(plain.subarray(offset, offset + frameSize));
  }
  const [body] = sealer.end().bodies;
  return body ?? new Uint8Array();
}

export interface ReadObjectOptions {
  readonly encrypted: boolean;
  /** age secret keys */
  readonly identities: readonly string[];
}

/**
 * Hands the plain content of a stored object on, piece by piece; a piece is valid only during the call. Each is authenticated,
 * but that they are the whole of it, with the digest in its head, is certain only when this returns the head. Throws `corrupt`
 * when anything does not fit, `no-identity` when it cannot be decrypted.
 */
export async function readObject(
  stored: Uint8Array,
  options: ReadObjectOptions,
  plain: (bytes: Uint8Array, head: ObjectHead) => void,
  reader = newReader(),
): Promise<ObjectHead> {
  const opened = options.encrypted ? await openHeader(stored, options.identities) : undefined;
  const head = readObjectHead(stored.subarray(0, headReadSize));
  if (head === undefined) throw unlikeItsHead();
  const digest = newContentDigest();
  let size = 0;
  reader.begin({
    key: opened?.key,
    plain: (bytes) => {
      size += bytes.length;
      if (size > head.size) throw unlikeItsHead();
      digest.update(bytes);
      plain(bytes, head);
    },
  });
  reader.write(stored.subarray(opened?.size ?? 0));
  reader.end();
  if (size !== head.size || digest.hex() !== head.digest) throw unlikeItsHead();
  return head;
}

/** A reader for `readObject`, which can read one object after the other. */
export function newReader(): PayloadReader {
  return new PayloadReader({ zstd: openZstd(1), key: undefined, plain: () => undefined });
}

/** The whole plain content of a small stored object, and its head. Throws as `readObject` does. */
export async function openObject(
  stored: Uint8Array,
  options: ReadObjectOptions,
): Promise<{ readonly plain: Uint8Array; readonly head: ObjectHead }> {
  const pieces: Uint8Array[] = [];
  const head = await readObject(stored, options, (bytes) => pieces.push(Uint8Array.from(bytes)));
  return { plain: Buffer.concat(pieces), head };
}

function unlikeItsHead(): PgarkError {
  return new PgarkError("corrupt", "the content is not what the object's head says", { operation: "read object" });
}
