import { randomBytes } from "node:crypto";
import { Decrypter, Encrypter, Stanza } from "age-encryption";
import { PgarkError } from "../../errors.ts";
import { payloadKey, payloadNonceSize, tagSize } from "./age-payload.ts";
import type { ObjectHead } from "./object-head.ts";
import { headStanza } from "./object-head.ts";

/** All that is needed to write an encrypted object: what goes before its payload, and the key of the payload. */
export interface SealedHeader {
  /** the age header and the payload's nonce, as they stand in the object */
  readonly bytes: Uint8Array;
  readonly key: Uint8Array;
}

/**
 * Makes the age header for one object. The head, when there is one, comes as the first stanza: in the clear for whoever reads
 * the first bytes, authenticated for whoever decrypts, passed over by `age`.
 */
export async function makeHeader(recipients: readonly string[], head: ObjectHead | undefined): Promise<SealedHeader> {
  let fileKey = new Uint8Array();
  const encrypter = new Encrypter();
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = Uint8Array.from(key);
      return head === undefined ? [] : [new Stanza([...headStanza(head)], new Uint8Array())];
    },
  });
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  // An age file of nothing is its header, a nonce and one empty chunk; the header is what we are after.
  const empty = await encrypter.encrypt(new Uint8Array());
  const header = empty.subarray(0, empty.length - payloadNonceSize - tagSize);
  const nonce = randomBytes(payloadNonceSize);
  return { bytes: Buffer.concat([header, nonce]), key: payloadKey(fileKey, nonce) };
}

/** What the head of an encrypted object holds once it has been opened. */
export interface OpenedHeader {
  /** bytes before the payload: header and nonce */
  readonly size: number;
  readonly key: Uint8Array;
}

/** No header that pgark writes is longer; with 50 recipients it has 6 KiB. */
export const maxHeaderSize = 64 * 1024;

/**
 * Opens the age header at the head of `bytes`. Throws `no-identity` when none of the keys fits, `corrupt` when the header is
 * damaged or not there.
 */
export async function openHeader(bytes: Uint8Array, identities: readonly string[]): Promise<OpenedHeader> {
  const end = headerEnd(bytes);
  if (identities.length === 0) {
    throw new PgarkError("no-identity", "the repository is encrypted and no identity was given", {
      operation: "decrypt",
      hint: "name the file with the secret key: --identity-file, PGARK_IDENTITY_FILE or identity-file in pgark.yaml",
    });
  }
  const decrypter = makeDecrypter(identities);
  const fileKey = await decrypter.decryptHeader(bytes.subarray(0, end)).catch((error: unknown) => {
    throw headerError(error);
  });
  const nonce = bytes.subarray(end, end + payloadNonceSize);
  if (nonce.length < payloadNonceSize) throw damaged("it is cut short");
  return { size: end + payloadNonceSize, key: payloadKey(fileKey, nonce) };
}

function makeDecrypter(identities: readonly string[]): Decrypter {
  const decrypter = new Decrypter();
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
  } catch {
    // The cause is left out: it repeats the secret that it could not read.
    throw new PgarkError("no-identity", "an identity that was given is not an age identity", {
      operation: "decrypt",
      hint: "a character of it is missing or changed: compare it with the identity file that `pgark init --encrypt` made",
    });
  }
  return decrypter;
}

/** The offset after the line with the header's MAC. */
function headerEnd(bytes: Uint8Array): number {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, maxHeaderSize));
  const mac = text.indexOf("\n--- ", 0, "latin1");
  const end = mac < 0 ? -1 : text.indexOf("\n", mac + 1, "latin1");
  if (!text.subarray(0, 22).equals(Buffer.from("age-encryption.org/v1\n")) || end < 0)
    throw damaged("it is no age file");
  return end + 1;
}

function headerError(error: unknown): PgarkError {
  if (error instanceof Error && error.message.includes("no identity matched")) {
    return new PgarkError("no-identity", "the identity given does not open this repository", {
      operation: "decrypt",
      cause: error,
      hint: "it was encrypted to another key: look for the identity file that `pgark init --encrypt` made",
    });
  }
  return damaged("its authentication fails", error);
}

function damaged(how: string, cause?: unknown): PgarkError {
  return new PgarkError("corrupt", `the head of the encrypted object is damaged: ${how}`, {
    operation: "decrypt",
    cause,
  });
}
