import type { Upload } from "../storage/object-store.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { SealedHeader } from "./envelope/age-header.ts";
import { makeHeader } from "./envelope/age-header.ts";
import { backupFolder, packName } from "./layout.ts";
import type { FileLine, ManifestLine } from "./manifest.ts";
import { formatMode } from "./manifest.ts";
import type { ManifestWriter } from "./manifest-writer.ts";
import type { Repository } from "./repository.ts";
import type { BuiltPack, PackedFile, PackEntry } from "./worker/pack-tasks.ts";
import { Counters } from "./worker/pack-tasks.ts";
import { sendPack } from "./worker/send-pack.ts";
import type { SharedParts } from "./worker/shared-parts.ts";
import { createSharedParts } from "./worker/shared-parts.ts";
import type { WorkerPool } from "./worker/worker-pool.ts";

export interface PackUploaderOptions {
  readonly repository: Repository;
  readonly identity: ClusterIdentity;
  readonly label: string;
  readonly manifest: ManifestWriter;
  readonly pool: WorkerPool;
  readonly level: number;
  /** bytes of a data page */
  readonly blockSize: number;
  /** bytes a second that each worker may read */
  readonly rate: number | undefined;
  readonly signal: AbortSignal;
}

/** Writes the packs of one backup and their lines in the manifest. Any number of packs may be under way at once. */
export class PackUploader {
  readonly counters = Counters.create();
  /** bytes of all packs as stored */
  storedBytes = 0;
  /** pages whose checksum does not hold */
  readonly badPages: { readonly path: string; readonly block: number }[] = [];
  readonly #options: PackUploaderOptions;
  readonly #idleParts: SharedParts[] = [];
  #packs = 0;

  constructor(options: PackUploaderOptions) {
    this.#options = options;
  }

  get pool(): WorkerPool {
    return this.#options.pool;
  }

  get level(): number {
    return this.#options.level;
  }

  /** Has a worker read and send `entries` as one pack; `lines` are what else the manifest says of them. */
  async add(entries: readonly PackEntry[], lines: readonly ManifestLine[]): Promise<BuiltPack> {
    const { repository, pool, level, blockSize, rate, signal } = this.#options;
    const pack = this.nextPack();
    const header = await this.makeHeader();
    const parts = this.#idleParts.pop() ?? createSharedParts(repository.store.capabilities.partSize);
    const built = await sendPack({
      store: repository.store,
      pool,
      key: pack.key,
      entries,
      header,
      level,
      blockSize,
      rate,
      parts,
      counters: this.counters,
      signal,
    });
    this.#idleParts.push(parts);
    await this.record(pack, built, lines);
    return built;
  }

  /** The next free pack: its number, name and key. */
  nextPack(): NumberedPack {
    const { repository, identity, label } = this.#options;
    const number = this.#packs++;
    const name = packName(number, repository.encrypted);
    return { number, name, key: `${backupFolder(repository.cluster, identity, label)}${name}` };
  }

  async beginUpload(pack: NumberedPack): Promise<{ readonly upload: Upload; readonly partSize: number }> {
    const { repository, signal } = this.#options;
    const upload = await repository.store.beginUpload(pack.key, { ifAbsent: true, signal });
    return { upload, partSize: repository.store.capabilities.partSize };
  }

  async makeHeader(): Promise<SealedHeader | undefined> {
    const { repository } = this.#options;
    return repository.encrypted ? makeHeader(repository.recipients, undefined) : undefined;
  }

  /** Enters a pack that is stored into the manifest. */
  async record(pack: NumberedPack, built: BuiltPack, lines: readonly ManifestLine[]): Promise<void> {
    this.storedBytes += built.storedSize;
    for (const file of built.files) {
      for (const block of file.badPages) this.badPages.push({ path: file.path, block });
    }
    await this.#options.manifest.add([
      ...lines,
      { type: "pack", pack: pack.number, name: pack.name, size: built.storedSize, sha256: built.sha256 },
      ...built.files.map((file) => fileLine(pack.number, file)),
    ]);
  }
}

export interface NumberedPack {
  readonly number: number;
  readonly name: string;
  readonly key: string;
}

function fileLine(pack: number, file: PackedFile): FileLine {
  const { path, size, badPages } = file;
  return {
    type: "file",
    path,
    size,
    mode: formatMode(file.mode),
    modified: new Date(file.modifiedMs).toISOString(),
    crc32c: file.crc32c.toString(16).padStart(8, "0"),
    extents: size === 0 ? [] : [{ pack, offset: file.offset, length: size }],
    ...(badPages.length > 0 ? { badPages } : {}),
  };
}
