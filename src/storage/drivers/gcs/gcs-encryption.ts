import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { ioError, PgarkError } from "../../../errors.ts";

/** The headers of a customer-supplied key (CSEK), for every request that touches an object's content; none without a key. */
export function encryptionHeaders(keyFile: string | undefined): Readonly<Record<string, string>> {
  if (keyFile === undefined) return {};
  const key = readKey(keyFile);
  return {
    "x-goog-encryption-algorithm": "AES256",
    "x-goog-encryption-key": key.toString("base64"),
    "x-goog-encryption-key-sha256": createHash("sha256").update(key).digest("base64"),
  };
}

function readKey(file: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw ioError("read encryption key", file, error);
  }
  const key = content.length === 32 ? content : Buffer.from(content.toString("latin1").trim(), "base64");
  if (key.length === 32) return key;
  throw new PgarkError("usage", "not a key of 32 bytes", {
    operation: "read encryption key",
    object: file,
    hint: "make one with: openssl rand -base64 32",
  });
}
