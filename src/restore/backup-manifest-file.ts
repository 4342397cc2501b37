import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { ioError } from "../errors.ts";
import { formatLsn } from "../postgres/lsn.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { FileLine } from "../repository/manifest.ts";

/**
 * Writes PostgreSQL's own `backup_manifest` (documentation, "Backup Manifest Format"; version 2 from PostgreSQL 17 on), so that
 * `pg_verifybackup` accepts the restored directory. Streams: memory is one file's entry.
 */
export class BackupManifestFile {
  readonly #path: string;
  readonly #file: number;
  readonly #hash = createHash("sha256");
  readonly #record: BackupRecord;
  #separator = "";

  constructor(path: string, record: BackupRecord) {
    this.#path = path;
    this.#file = this.#system(() => openSync(path, "w", 0o600));
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
    this.#append(`"Manifest-Checksum": "${digest}"}\n`);
    this.#system(() => fsyncSync(this.#file));
    closeSync(this.#file);
  }

  /** Forgets the file as far as it is written. */
  abort(): void {
    closeSync(this.#file);
  }

  #write(text: string): void {
    this.#hash.update(text);
    this.#append(text);
  }

  /** A file system that is about to be full takes a part, and says so only to the next call. */
  #append(text: string): void {
    const bytes = Buffer.from(text);
    this.#system(() => {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
    });
  }

  #system<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw ioError("write file", this.#path, error);
    }
  }
}

/** PostgreSQL prints the checksum's bytes as they lie in memory: the least significant first. */
function checksumText(crc32c: string): string {
  return Buffer.from(crc32c, "hex").reverse().toString("hex");
}
