import { crc32c } from "@node-rs/crc32";
import type { HttpAnswer } from "./gcs-http.ts";

/** A CRC-32C as the service writes it: big-endian, in base64. */
export function crcText(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString("base64");
}

/** Whether the content of an answer is what the service says it sent. Ranges come without a checksum of their own. */
export function arrivedWhole({ status, headers, body }: HttpAnswer): boolean {
  const hashes = [headers["x-goog-hash"] ?? []].flat().join(",");
  const expected = /(?:^|[,\s])crc32c=([^,\s]+)/.exec(hashes)?.[1];
  return status !== 200 || expected === undefined || crcText(crc32c(body)) === expected;
}
