import type { ClusterIdentity } from "../../src/postgres/cluster-identity.ts";
import { parseWalFileName } from "../../src/postgres/wal-file-name.ts";
import type { WalFileName } from "../../src/postgres/wal-file-name.ts";
import { Random } from "../helpers/random.ts";

/** Bytes of a segment of `segmentOf`: the smallest that PostgreSQL allows. */
export const segmentSize = 1024 * 1024;

/** A WAL segment of PostgreSQL 17 in all that pgark looks at; the rest compresses as WAL does, or not at all. */
export function segmentOf(
  identity: ClusterIdentity,
  number: number,
  { compressible = true }: { readonly compressible?: boolean } = {},
): { readonly name: WalFileName; readonly bytes: Buffer } {
  const random = new Random(number);
  const bytes = Buffer.alloc(segmentSize, `record ${number} `);
  const step = compressible ? 3 : 1;
  for (let at = 0; at < bytes.length; at += step) bytes[at] = random.below(256);
  bytes.writeUInt16LE(0xd116, 0);
  bytes.writeUInt16LE(2, 2);
  bytes.writeUInt32LE(1, 4);
  bytes.writeBigUInt64LE(BigInt(number * segmentSize), 8);
  bytes.writeBigUInt64LE(identity.systemIdentifier, 24);
  bytes.writeUInt32LE(segmentSize, 32);
  bytes.writeUInt32LE(8192, 36);
  return { name: walFileName(`0000000100000000${number.toString(16).toUpperCase().padStart(8, "0")}`), bytes };
}

export function walFileName(text: string): WalFileName {
  const name = parseWalFileName(text);
  if (name === undefined) throw new Error(`${text} is no name of a WAL file`);
  return name;
}
