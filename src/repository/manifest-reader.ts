import { createHash } from "node:crypto";
import { isPgarkError, PgarkError } from "../errors.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { BackupRecord } from "./backup-record.ts";
import { openHeader } from "./envelope/age-header.ts";
import { PayloadReader } from "./envelope/payload-reader.ts";
import { openZstd } from "./envelope/zstd.ts";
import { manifestKey } from "./layout.ts";
import type { ManifestLine } from "./manifest.ts";
import { parseManifestLine } from "./manifest.ts";
import type { Repository } from "./repository.ts";

const readSize = 1024 * 1024;
/** Stored bytes that are taken apart at a time: compressed well, they hold thousands of lines. */
const sliceSize = 32 * 1024;

/**
 * The lines of a backup's manifest, in batches, as they are read. Throws `corrupt` at the latest at its end when it is not
 * exactly what was written, `no-identity` when it cannot be decrypted.
 */
export async function* readManifest(
  repository: Repository,
  record: BackupRecord,
  options: SignalOption,
): AsyncGenerator<readonly ManifestLine[]> {
  const key = manifestKey(repository.cluster, record.identity, record.label, record.encrypted);
  try {
    yield* readLines(repository, key, record, options);
  } catch (error) {
    // Ciphers and decompressors do not know what they work on; whoever reads the error must.
    if (!isPgarkError(error, "corrupt") || error.object !== undefined) throw error;
    throw damaged(key, error.message, error);
  }
}

async function* readLines(
  repository: Repository,
  key: string,
  record: BackupRecord,
  options: SignalOption,
): AsyncGenerator<readonly ManifestLine[]> {
  const hash = createHash("sha256");
  const splitter = new LineSplitter(key, record);
  let reader: PayloadReader | undefined;
  let skipped = 0;
  for (let offset = 0; offset < record.manifest.size;) {
    const bytes = await repository.store.get(key, { range: { offset, length: readSize }, ...options });
    if (bytes.length === 0) throw damaged(key, "it is cut short");
    hash.update(bytes);
    offset += bytes.length;
    if (reader === undefined) {
      const header = record.encrypted ? await openHeader(bytes, repository.secretKeys) : undefined;
      reader = new PayloadReader({ zstd: openZstd(1), key: header?.key, plain: (plain) => splitter.add(plain) });
      skipped = header?.size ?? 0;
    }
    for (let from = skipped; from < bytes.length; from += sliceSize) {
      reader.write(bytes.subarray(from, from + sliceSize));
      yield splitter.take();
    }
    skipped = 0;
  }
  reader?.end();
  if (hash.digest("hex") !== record.manifest.sha256) throw damaged(key, "its digest is not the one in backup.json");
  yield splitter.end();
}

class LineSplitter {
  #rest = "";
  #lines: ManifestLine[] = [];
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  readonly #key: string;
  readonly #record: BackupRecord;
  #last: ManifestLine["type"] | undefined;

  constructor(key: string, record: BackupRecord) {
    this.#key = key;
    this.#record = record;
  }

  add(plain: Uint8Array): void {
    const pieces = (this.#rest + this.#decode(plain)).split("\n");
    this.#rest = pieces.pop() ?? "";
    for (const piece of pieces) this.#add(parseManifestLine(piece));
  }

  #add(line: ManifestLine): void {
    if (this.#last === undefined) this.#checkHeader(line);
    this.#last = line.type;
    this.#lines.push(line);
  }

  /** A manifest that lies in the wrong place is as bad as a damaged one. */
  #checkHeader(line: ManifestLine): void {
    const { label, identity } = this.#record;
    if (line.type === "manifest" && line.label === label && line.identity === formatIdentity(identity)) return;
    throw damaged(this.#key, "it does not begin with the header of this backup");
  }

  #decode(plain: Uint8Array): string {
    try {
      return this.#decoder.decode(plain, { stream: true });
    } catch {
      throw damaged(this.#key, "it is not UTF-8");
    }
  }

  take(): readonly ManifestLine[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  end(): readonly ManifestLine[] {
    if (this.#rest !== "" || this.#last !== "end") throw damaged(this.#key, "its last line is missing");
    return this.take();
  }
}

function damaged(key: string, problem: string, cause?: unknown): PgarkError {
  return new PgarkError("corrupt", `the manifest is damaged: ${problem}`, {
    operation: "read manifest",
    object: key,
    hint: "without it this backup cannot be restored: use another (`pgark list`); `--backup` names it",
    cause,
  });
}
