import { createHash } from "node:crypto";
import { PgarkError } from "../errors.ts";
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
  const hash = createHash("sha256");
  const splitter = new LineSplitter();
  let reader: PayloadReader | undefined;
  for (let offset = 0; offset < record.manifest.size;) {
    const bytes = await repository.store.get(key, { range: { offset, length: readSize }, ...options });
    if (bytes.length === 0) throw damaged(key, "it is cut short");
    hash.update(bytes);
    offset += bytes.length;
    if (reader === undefined) {
      const header = record.encrypted ? await openHeader(bytes, repository.secretKeys) : undefined;
      reader = new PayloadReader({ zstd: openZstd(1), key: header?.key, plain: (plain) => splitter.add(plain) });
      reader.write(bytes.subarray(header?.size ?? 0));
    } else reader.write(bytes);
    yield splitter.take();
  }
  reader?.end();
  if (hash.digest("hex") !== record.manifest.sha256) throw damaged(key, "its digest is not the one in backup.json");
  yield splitter.end(key);
}

class LineSplitter {
  #rest = "";
  #lines: ManifestLine[] = [];
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #ended = false;

  add(plain: Uint8Array): void {
    const pieces = (this.#rest + this.#decoder.decode(plain, { stream: true })).split("\n");
    this.#rest = pieces.pop() ?? "";
    for (const piece of pieces) this.#lines.push(parseManifestLine(piece));
    this.#ended = this.#lines.at(-1)?.type === "end" || (this.#lines.length === 0 && this.#ended);
  }

  take(): readonly ManifestLine[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  end(key: string): readonly ManifestLine[] {
    if (this.#rest !== "" || !this.#ended) throw damaged(key, "its last line is missing");
    return this.take();
  }
}

function damaged(key: string, problem: string): PgarkError {
  return new PgarkError("corrupt", `the manifest is damaged: ${problem}`, { operation: "read manifest", object: key });
}
