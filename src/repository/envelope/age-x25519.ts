import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
} from "node:crypto";
import type { KeyObject } from "node:crypto";
import { PgarkError } from "../../errors.ts";
import { decodeBase64, encodeBase64 } from "./age-stanzas.ts";
import type { Stanza } from "./age-stanzas.ts";

/**
 * age's X25519 recipients on node's OpenSSL (age-encryption.org/v1, "The X25519 recipient type"). Here and not in a package
 * because this is in the way of every WAL segment: JavaScript's curves cost 40 ms at the first call, these less than one.
 */
const stanzaType = "X25519";
const hkdfInfo = "age-encryption.org/v1/X25519";
const keySize = 32;
const fileKeySize = 16;
const tagSize = 16;
/** What stands before the 32 bytes of a secret key in PKCS #8 (RFC 8410); a JWK would ask for the public half, too. */
const pkcs8Start = Buffer.from("302e020100300506032b656e04220420", "hex");

/** A secret key of 32 random bytes, and the public key that belongs to it. */
export interface X25519KeyPair {
  readonly secret: Uint8Array;
  readonly public: Uint8Array;
}

export function generateX25519(): X25519KeyPair {
  const { d = "", x = "" } = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  return { secret: Buffer.from(d, "base64url"), public: Buffer.from(x, "base64url") };
}

export function publicKeyOf(secret: Uint8Array): Uint8Array {
  return rawPublic(createPublicKey(privateKey(secret)));
}

/** Encrypts a file key to a public key. Throws `usage` for one that would give it away: a point of small order. */
export function wrapFileKey(recipient: Uint8Array, fileKey: Uint8Array): Stanza {
  const ephemeral = generateKeyPairSync("x25519");
  const share = rawPublic(ephemeral.publicKey);
  const secret = sharedSecret(ephemeral.privateKey, recipient);
  if (secret === undefined) {
    throw new PgarkError("usage", "a recipient is no key that anything could be encrypted to", {
      operation: "encrypt",
      hint: "it was made by no key generator: everybody can open what is encrypted to it",
    });
  }
  const cipher = createCipheriv("chacha20-poly1305", wrapKey(secret, share, recipient), Buffer.alloc(12), {
    authTagLength: tagSize,
  });
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
  return { args: [stanzaType, encodeBase64(share)], body };
}

/** Secret keys that have been made ready. */
export class X25519Identity {
  readonly #private: KeyObject;
  readonly #public: Uint8Array;

  constructor(secret: Uint8Array) {
    this.#private = privateKey(secret);
    this.#public = rawPublic(createPublicKey(this.#private));
  }

  /** The file key, or undefined when none of the stanzas is for this key. Throws `corrupt` for one that cannot be. */
  unwrapFileKey(stanzas: readonly Stanza[]): Uint8Array | undefined {
    for (const { args, body } of stanzas) {
      if (args[0] !== stanzaType) continue;
      const share = decodeBase64(args[1]);
      if (args.length !== 2 || share?.length !== keySize || body.length !== fileKeySize + tagSize) throw malformed();
      const secret = sharedSecret(this.#private, share);
      if (secret === undefined) throw malformed();
      const fileKey = decrypt(wrapKey(secret, share, this.#public), body);
      if (fileKey !== undefined) return fileKey;
    }
    return undefined;
  }
}

/** undefined when it is all zero, as age demands: then it is no secret, but what a point of small order gives with any key. */
function sharedSecret(secret: KeyObject, publicKey: Uint8Array): Uint8Array | undefined {
  let shared: Uint8Array;
  try {
    shared = diffieHellman({ privateKey: secret, publicKey: publicKeyObject(publicKey) });
  } catch {
    return undefined; // OpenSSL refuses to derive it
  }
  return shared.some((byte) => byte !== 0) ? shared : undefined;
}

function wrapKey(secret: Uint8Array, share: Uint8Array, recipient: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, Buffer.concat([share, recipient]), hkdfInfo, keySize));
}

function decrypt(key: Uint8Array, body: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv("chacha20-poly1305", key, Buffer.alloc(12), { authTagLength: tagSize });
  decipher.setAuthTag(body.subarray(fileKeySize));
  const fileKey = decipher.update(body.subarray(0, fileKeySize));
  try {
    decipher.final();
  } catch {
    return undefined; // it is for another key
  }
  return fileKey;
}

function publicKeyObject(key: Uint8Array): KeyObject {
  const x = Buffer.from(key).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
}

function privateKey(secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8Start, secret]), format: "der", type: "pkcs8" });
}

function rawPublic(key: KeyObject): Uint8Array {
  return Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
}

function malformed(): PgarkError {
  return new PgarkError("corrupt", "the head of the encrypted object is damaged: a recipient in it cannot be", {
    operation: "decrypt",
  });
}
