import { readFileSync } from "node:fs";
import { ioError, PgarkError } from "../errors.ts";

/** A key of 32 bytes that the store is to encrypt with (SSE-C, CSEK): raw or in base64. Throws `usage` for anything else. */
export function readCustomerKey(file: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw ioError("read customer key", file, error);
  }
  const key = content.length === 32 ? content : Buffer.from(content.toString("latin1").trim(), "base64");
  if (key.length === 32) return key;
  throw new PgarkError("usage", "not a key of 32 bytes", {
    operation: "read customer key",
    object: file,
    hint: "make one with: openssl rand -base64 32",
  });
}
