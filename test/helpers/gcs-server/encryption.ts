import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ApiError } from "./api-error.ts";

/** The digest of the key that a customer sends along (CSEK), or undefined; refuses a key that cannot be one. */
export function customerKeyDigest(headers: IncomingHttpHeaders): string | undefined {
  const text = headers["x-goog-encryption-key"];
  if (typeof text !== "string") return undefined;
  const key = Buffer.from(text, "base64");
  const digest = createHash("sha256").update(key).digest("base64");
  const isKey = key.length === 32 && headers["x-goog-encryption-algorithm"] === "AES256";
  if (isKey && digest === headers["x-goog-encryption-key-sha256"]) return digest;
  throw new ApiError(400, "customerEncryptionKeyFormatIsInvalid", "Missing an encryption key, or it is not one.");
}

/** Content opens only with the key that it was written with. */
export function refuseOtherKey(written: string | undefined, headers: IncomingHttpHeaders): void {
  const given = customerKeyDigest(headers);
  if (given === written) return;
  const [reason, problem] =
    written === undefined
      ? [
          "resourceNotEncryptedWithCustomerEncryptionKey",
          "The target object is not encrypted by a customer-supplied encryption key.",
        ]
      : given === undefined
        ? [
            "resourceIsEncryptedWithCustomerEncryptionKey",
            "The target object is encrypted by a customer-supplied encryption key.",
          ]
        : ["customerEncryptionKeyIsIncorrect", "The provided encryption key is incorrect."];
  throw new ApiError(400, reason ?? "", problem ?? "");
}
