import { crc32c } from "@node-rs/crc32";

export interface ControlFileFields {
  readonly controlVersion?: number;
  readonly systemIdentifier?: bigint;
  readonly catalogVersion?: number;
  readonly state?: number;
  readonly dataChecksumVersion?: number;
  readonly minRecoveryPoint?: bigint;
  readonly minRecoveryTimeline?: number;
}

/** A `pg_control` of 8192 bytes with a CRC that holds. */
export function controlFileBytes(fields: ControlFileFields = {}): Buffer {
  const controlVersion = fields.controlVersion ?? 1700;
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(fields.systemIdentifier ?? 7_500_000_000_000_000_000n, 0);
  bytes.writeUInt32LE(controlVersion, 8);
  bytes.writeUInt32LE(fields.catalogVersion ?? 202406281, 12);
  bytes.writeUInt32LE(fields.state ?? 6, 16);
  bytes.writeBigInt64LE(1_700_000_000n, 24);
  bytes.writeBigUInt64LE(0x2000060n, 32);
  bytes.writeBigUInt64LE(0x2000028n, 40);
  bytes.writeUInt32LE(3, 48);
  bytes.writeBigUInt64LE(fields.minRecoveryPoint ?? 0n, 136);
  bytes.writeUInt32LE(fields.minRecoveryTimeline ?? 0, 144);
  bytes.writeUInt32LE(8192, 216);
  bytes.writeUInt32LE(131072, 220);
  bytes.writeUInt32LE(16 * 1024 * 1024, 228);
  bytes.writeUInt32LE(fields.dataChecksumVersion ?? 1, 252);
  const crcOffset = controlVersion >= 1800 ? 292 : 288;
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcOffset)), crcOffset);
  return bytes;
}
