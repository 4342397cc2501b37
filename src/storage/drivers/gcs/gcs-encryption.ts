import { createHash } from "node:crypto";
import { readCustomerKey } from "../../customer-key.ts";

/** The headers of a customer-supplied key (CSEK), for every request that touches an object's content; none without a key. */
export function encryptionHeaders(keyFile: string | undefined): Readonly<Record<string, string>> {
  if (keyFile === undefined) return {};
  const key = readCustomerKey(keyFile);
  return {
    "x-goog-encryption-algorithm": "AES256",
    "x-goog-encryption-key": key.toString("base64"),
    "x-goog-encryption-key-sha256": createHash("sha256").update(key).digest("base64"),
  };
}
