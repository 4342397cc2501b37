import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { formatLsn } from "../postgres/lsn.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { FileLine } from "../repository/manifest.ts";

/**
 * Writes PostgreSQL's own `backup_manifest` (documentation, "Backup Manifest Format"; version 2 from PostgreSQL 17 on), so that
 * `pg_verifybackup` accepts the restored directory. Streams: memory is one file's entry.
 */
export class BackupManifestFile {
  readonly #file: number;
  readonly #hash = createHash("sha256");
  readonly #record: BackupRecord;
  #separator = "";

  constructor(path: string, record: BackupRecord) {
    this.#file = openSync(path, "w", 0o600);
    this.#record = record;
    const { majorVersion, systemIdentifier } = record.identity;
    const version = majorVersion >= 17 ? 2 : 1;
    const identifier = version === 2 ? `"System-Identifier": ${systemIdentifier},\n` : "";
    this.#write(`{ "PostgreSQL-Backup-Manifest-Version": ${version},\n${identifier}"Files": [`);
  }

  add(file: FileLine): void {
    const fields = [
      `"Path": ${JSON.stringify(file.path)}`,
      `"Size": ${file.size}`,
      `"Last-Modified": "${file.modified.slice(0, 19).replace("T", " ")} GMT"`,
      `"Checksum-Algorithm": "CRC32C"`,
      `"Checksum": "${checksumText(file.crc32c)}"`,
    ];
    this.#write(`${this.#separator}\n{ ${fields.join(", ")} }`);
    this.#separator = ",";
  }

  end(): void {
    const { timeline, startLsn, stopLsn } = this.#record;
    const range = `"Timeline": ${timeline}, "Start-LSN": "${formatLsn(startLsn)}", "End-LSN": "${formatLsn(stopLsn)}"`;
    this.#write(`\n],\n"WAL-Ranges": [\n{ ${range} }\n],\n`);
    const digest = this.#hash.digest("hex");
    writeSync(this.#file, `"Manifest-Checksum": "${digest}"}\n`);
    fsyncSync(this.#file);
    closeSync(this.#file);
  }

  #write(text: string): void {
    this.#hash.update(text);
    writeSync(this.#file, text);
  }
}

/** PostgreSQL prints the checksum's bytes as they lie in memory: the least significant first. */
function checksumText(crc32c: string): string {
  return Buffer.from(crc32c, "hex").reverse().toString("hex");
}
