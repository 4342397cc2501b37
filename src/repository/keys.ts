import { PgarkError } from "../errors.ts";
import {
  formatX25519Identity,
  formatX25519Recipient,
  readX25519Identity,
  readX25519Recipient,
} from "./envelope/age-keys.ts";
import { generateX25519, publicKeyOf, wrapFileKey } from "./envelope/age-x25519.ts";

/** A key pair in age's own text forms. */
export interface KeyPair {
  /** the secret, `AGE-SECRET-KEY-1...` */
  readonly identity: string;
  /** the public key, `age1...` */
  readonly recipient: string;
}

export async function generateKeyPair(): Promise<KeyPair> {
  const pair = generateX25519();
  return { identity: formatX25519Identity(pair.secret), recipient: formatX25519Recipient(pair.public) };
}

/** The public key of a secret one. Throws `usage` without repeating what it was given. */
export async function recipientOf(identity: string): Promise<string> {
  const secret = readX25519Identity(identity);
  if (secret !== undefined) return formatX25519Recipient(publicKeyOf(secret));
  try {
    return await (await import("./envelope/age-package.ts")).recipientOf(identity);
  } catch {
    // The cause is left out: it could carry a part of the secret.
    throw new PgarkError("usage", "not an age identity", {
      operation: "read identity",
      hint: "an identity is a line that begins with AGE-SECRET-KEY-1",
    });
  }
}

/** The identities in a file as `age-keygen` writes it: one a line, comments with `#`. */
export function parseIdentityFile(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const identities = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (identities.length === 0 || identities.some((line) => !/^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]+$/.test(line))) {
    throw new PgarkError("usage", "not an identity file", {
      operation: "read identity",
      hint: "it holds one AGE-SECRET-KEY-1... a line, as age-keygen writes it; passphrase-protected files are not read",
    });
  }
  return identities;
}

/** Throws `usage` unless `text` is a public key that objects can be encrypted to. */
export async function checkRecipient(text: string): Promise<void> {
  if (/^age1[0-9a-z]{20,}$/.test(text) && (await isRecipient(text))) return;
  const isSecret = /age-secret/i.test(text);
  throw new PgarkError("usage", "not an age recipient", {
    operation: "read recipient",
    object: isSecret ? undefined : text,
    hint: isSecret
      ? "this is a secret key; the recipient is the public one, which begins with age1"
      : "a recipient is a public key that begins with age1; its last characters are a checksum that catches typing errors",
  });
}

/** With a mistyped key in its record, nothing could ever be written to a repository. */
async function isRecipient(text: string): Promise<boolean> {
  const key = readX25519Recipient(text);
  if (key === undefined) return (await import("./envelope/age-package.ts")).isRecipient(text);
  try {
    wrapFileKey(key, new Uint8Array(16));
    return true;
  } catch {
    return false;
  }
}
