import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { crc32c } from "@node-rs/crc32";
import { badRequest } from "./api-error.ts";

export interface Checksums {
  readonly crc32c?: string | undefined;
  readonly md5Hash?: string | undefined;
}

export function checksumsOf(content: Uint8Array): Required<Checksums> {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(content));
  return { crc32c: crc.toString("base64"), md5Hash: createHash("md5").update(content).digest("base64") };
}

/** What a client says in `x-goog-hash`. */
export function announcedChecksums(headers: IncomingHttpHeaders): Checksums {
  const said = [headers["x-goog-hash"] ?? []].flat().join(",");
  const value = (name: string): string | undefined => new RegExp(`${name}=([^,\\s]+)`).exec(said)?.[1];
  return { crc32c: value("crc32c"), md5Hash: value("md5") };
}

/** Refuses content that is not what the client said it would be. */
export function compareChecksums(announced: Checksums, actual: Required<Checksums>): void {
  if (announced.crc32c !== undefined && announced.crc32c !== actual.crc32c) {
    throw badRequest(`Provided CRC32C "${announced.crc32c}" doesn't match calculated CRC32C "${actual.crc32c}".`);
  }
  if (announced.md5Hash !== undefined && announced.md5Hash !== actual.md5Hash) {
    throw badRequest(`Provided MD5 hash "${announced.md5Hash}" doesn't match calculated MD5 hash "${actual.md5Hash}".`);
  }
}
