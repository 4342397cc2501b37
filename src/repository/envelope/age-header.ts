import { randomBytes } from "node:crypto";
import { isPgarkError, PgarkError } from "../../errors.ts";
import { readX25519Identity, readX25519Recipient } from "./age-keys.ts";
import { payloadKey, payloadNonceSize } from "./age-payload.ts";
import { formatHeader, parseHeader } from "./age-stanzas.ts";
import type { ParsedHeader, Stanza } from "./age-stanzas.ts";
import { wrapFileKey, X25519Identity } from "./age-x25519.ts";
import type { ObjectHead } from "./object-head.ts";
import { headStanza } from "./object-head.ts";

const fileKeySize = 16;

/** All that is needed to write an encrypted object: what goes before its payload, and the key of the payload. */
export interface SealedHeader {
  /** the age header and the payload's nonce, as they stand in the object */
  readonly bytes: Uint8Array;
  readonly key: Uint8Array;
}

/** The header of an object whose payload is encrypted before its head is known. */
export interface HeaderDraft {
  /** the key of the payload */
  readonly key: Uint8Array;
  /** what goes before the payload; it has as many bytes for every head whose text has as many */
  bytes(head: ObjectHead | undefined): Uint8Array;
}

/** Makes the keys of one object and encrypts them to the recipients. */
export async function draftHeader(recipients: readonly string[]): Promise<HeaderDraft> {
  const { fileKey, stanzas } = await wrapForAll(recipients);
  const nonce = randomBytes(payloadNonceSize);
  return {
    key: payloadKey(fileKey, nonce),
    bytes: (head) => Buffer.concat([formatHeader([...headStanzas(head), ...stanzas], fileKey), nonce]),
  };
}

/**
 * Makes the age header for one object. The head, when there is one, comes as the first stanza: in the clear for whoever reads
 * the first bytes, authenticated for whoever decrypts, passed over by `age`.
 */
export async function makeHeader(recipients: readonly string[], head: ObjectHead | undefined): Promise<SealedHeader> {
  const draft = await draftHeader(recipients);
  return { bytes: draft.bytes(head), key: draft.key };
}

function headStanzas(head: ObjectHead | undefined): readonly Stanza[] {
  return head === undefined ? [] : [{ args: headStanza(head), body: new Uint8Array() }];
}

async function wrapForAll(
  recipients: readonly string[],
): Promise<{ readonly fileKey: Uint8Array; readonly stanzas: readonly Stanza[] }> {
  const keys = recipients.map(readX25519Recipient);
  const known = keys.filter((key) => key !== undefined);
  if (known.length < keys.length) return (await import("./age-package.ts")).wrapNewFileKey(recipients);
  const fileKey = randomBytes(fileKeySize);
  return { fileKey, stanzas: known.map((key) => wrapFileKey(key, fileKey)) };
}

/** What the head of an encrypted object holds once it has been opened. */
export interface OpenedHeader {
  /** bytes before the payload: header and nonce */
  readonly size: number;
  readonly key: Uint8Array;
}

/**
 * Opens the age header at the head of `bytes`. Throws `no-identity` when none of the keys fits, `corrupt` when the header is
 * damaged or not there.
 */
export async function openHeader(bytes: Uint8Array, identities: readonly string[]): Promise<OpenedHeader> {
  const header = parseHeader(bytes);
  if (header === undefined) throw damaged("it is no age file");
  if (identities.length === 0) {
    throw new PgarkError("no-identity", "the repository is encrypted and no identity was given", {
      operation: "decrypt",
      hint: "name the file with the secret key: --identity-file, PGARK_IDENTITY_FILE or identity-file in pgark.yaml",
    });
  }
  const fileKey = await unwrapWithAny(bytes, header, identities);
  if (!header.isAuthentic(fileKey)) throw damaged("its authentication fails");
  const nonce = bytes.subarray(header.size, header.size + payloadNonceSize);
  if (nonce.length < payloadNonceSize) throw damaged("it is cut short");
  return { size: header.size + payloadNonceSize, key: payloadKey(fileKey, nonce) };
}

async function unwrapWithAny(
  bytes: Uint8Array,
  header: ParsedHeader,
  identities: readonly string[],
): Promise<Uint8Array> {
  const others: string[] = [];
  for (const identity of identities) {
    const secret = readX25519Identity(identity);
    if (secret === undefined) others.push(identity);
    else {
      const fileKey = new X25519Identity(secret).unwrapFileKey(header.stanzas);
      if (fileKey !== undefined) return fileKey;
    }
  }
  const fileKey = others.length === 0 ? undefined : await unwrapWithOthers(bytes.subarray(0, header.size), others);
  if (fileKey !== undefined) return fileKey;
  throw new PgarkError("no-identity", "the identity given does not open this repository", {
    operation: "decrypt",
    hint: "it was encrypted to another key: look for the identity file that `pgark init --encrypt` made",
  });
}

/** With secret keys that are no X25519 ones: of another kind, or mistyped. */
async function unwrapWithOthers(header: Uint8Array, identities: readonly string[]): Promise<Uint8Array | undefined> {
  const { isIdentity, unwrapFileKey } = await import("./age-package.ts");
  if (!identities.every(isIdentity)) {
    // The package's own error is left out: it repeats the secret that it could not read.
    throw new PgarkError("no-identity", "an identity that was given is not an age identity", {
      operation: "decrypt",
      hint: "a character of it is missing or changed: compare it with the identity file that `pgark init --encrypt` made",
    });
  }
  try {
    return await unwrapFileKey(header, identities);
  } catch (error) {
    throw isPgarkError(error) ? error : damaged("its authentication fails", error);
  }
}

function damaged(how: string, cause?: unknown): PgarkError {
  return new PgarkError("corrupt", `the head of the encrypted object is damaged: ${how}`, {
    operation: "decrypt",
    cause,
  });
}
