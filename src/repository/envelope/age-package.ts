import { Decrypter, Encrypter, identityToRecipient } from "age-encryption";
import { parseHeader } from "./age-stanzas.ts";
import type { Stanza } from "./age-stanzas.ts";

/**
 * Keys of other kinds than X25519 (post-quantum ones, tags), by the `age-encryption` package. To be loaded only when there are
 * such keys: it takes tens of milliseconds.
 */

/** A new file key, encrypted to recipients of any kind, in their order. Throws what the package throws. */
export async function wrapNewFileKey(
  recipients: readonly string[],
): Promise<{ readonly fileKey: Uint8Array; readonly stanzas: readonly Stanza[] }> {
  let fileKey: Uint8Array = new Uint8Array();
  const encrypter = new Encrypter();
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  // The package has no other way to wrap a key; of the file, which holds nothing, only the stanzas are wanted.
  const header = parseHeader(await encrypter.encrypt(new Uint8Array()));
  if (header === undefined) throw new Error("age-encryption wrote a header that is none");
  return { fileKey, stanzas: header.stanzas };
}

/** The file key of a header for identities of any kind; undefined when it is for none of them. */
export async function unwrapFileKey(
  header: Uint8Array,
  identities: readonly string[],
): Promise<Uint8Array | undefined> {
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    if (error instanceof Error && error.message.includes("no identity matched")) return undefined;
    throw error;
  }
}

/** Whether objects can be encrypted to `text`. */
export function isRecipient(text: string): boolean {
  try {
    new Encrypter().addRecipient(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether `text` is a secret key. */
export function isIdentity(text: string): boolean {
  try {
    new Decrypter().addIdentity(text);
    return true;
  } catch {
    return false;
  }
}

export function recipientOf(identity: string): Promise<string> {
  return identityToRecipient(identity);
}
