import { bech32 } from "@scure/base";

/**
 * The text forms of age's X25519 keys (age-encryption.org/v1, "The X25519 recipient type"): bech32 of 32 bytes. Other kinds of
 * key (post-quantum ones, tags) are not known here.
 */
const recipientPrefix = "age";
const identityPrefix = "AGE-SECRET-KEY-";
const keySize = 32;

/** The bytes of an X25519 public key (`age1...`); undefined for anything else, mistyped keys included. */
export function readX25519Recipient(text: string): Uint8Array | undefined {
  return text.startsWith(`${recipientPrefix}1`) ? decode(text, recipientPrefix) : undefined;
}

/** The bytes of an X25519 secret key (`AGE-SECRET-KEY-1...`); undefined for anything else. */
export function readX25519Identity(text: string): Uint8Array | undefined {
  return text.startsWith(`${identityPrefix}1`) ? decode(text, identityPrefix) : undefined;
}

export function formatX25519Recipient(key: Uint8Array): string {
  return bech32.encodeFromBytes(recipientPrefix, key);
}

export function formatX25519Identity(key: Uint8Array): string {
  return bech32.encodeFromBytes(identityPrefix, key).toUpperCase();
}

function decode(text: string, prefix: string): Uint8Array | undefined {
  try {
    const decoded = bech32.decodeToBytes(text);
    return decoded.prefix.toLowerCase() === prefix.toLowerCase() && decoded.bytes.length === keySize
      ? decoded.bytes
      : undefined;
  } catch {
    return undefined; // its message may repeat a secret
  }
}
