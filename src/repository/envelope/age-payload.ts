import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { PgarkError } from "../../errors.ts";
import { freeMemory } from "./free-memory.ts";

/**
 * The payload of an age v1 file (age-encryption.org/v1, "Payload"): ChaCha20-Poly1305 over chunks of 64 KiB; the nonce is an
 * 11-byte counter and a last-chunk flag. Here and not in a package because node's OpenSSL is ten times as fast.
 */
export const chunkSize = 64 * 1024;
export const tagSize = 16;
export const payloadNonceSize = 16;

/** The key of a payload from the file key and the 16 bytes that stand between header and payload. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", fileKey, nonce, "payload", 32));
}

/** Bytes of a payload that holds `plain` bytes. */
export function payloadSize(plain: number): number {
  return plain + Math.max(1, Math.ceil(plain / chunkSize)) * tagSize;
}

function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/**
 * Encrypts one chunk and hands the pieces (ciphertext, tag) on in order; each is valid only during the call. The key is a `createSecretKey`: given its bare bytes,
 * node makes and throws away an error with its stack for every cipher, which costs as much as a quarter of the encryption.
 */
export function encryptChunk(
  key: KeyObject,
  index: number,
  last: boolean,
  plain: Uint8Array,
  write: (bytes: Uint8Array) => void,
): void {
  const cipher = createCipheriv("chacha20-poly1305", key, chunkNonce(index, last), { authTagLength: tagSize });
  const ciphertext = cipher.update(plain);
  write(ciphertext);
  freeMemory(ciphertext);
  cipher.final();
  write(cipher.getAuthTag());
}

/** Decrypts one chunk (ciphertext and tag). Throws `corrupt` when it is not exactly what was written at this place. */
export function decryptChunk(key: KeyObject, index: number, last: boolean, stored: Uint8Array): Uint8Array {
  if (stored.length < tagSize || stored.length > chunkSize + tagSize) throw damaged("it is cut short");
  const decipher = createDecipheriv("chacha20-poly1305", key, chunkNonce(index, last), { authTagLength: tagSize });
  decipher.setAuthTag(stored.subarray(stored.length - tagSize));
  const plain = decipher.update(stored.subarray(0, stored.length - tagSize));
  try {
    decipher.final();
  } catch (error) {
    throw damaged("its authentication fails", error);
  }
  return plain;
}

function damaged(how: string, cause?: unknown): PgarkError {
  return new PgarkError("corrupt", `the encrypted data is damaged: ${how}`, { operation: "decrypt", cause });
}
