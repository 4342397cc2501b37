import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { makeHeader } from "./envelope/age-header.ts";
import { PayloadWriter } from "./envelope/payload-writer.ts";
import { openZstd } from "./envelope/zstd.ts";
import { formatVersion, manifestKey } from "./layout.ts";
import type { FileLine, ManifestLine } from "./manifest.ts";
import { formatManifestLine } from "./manifest.ts";
import type { Repository } from "./repository.ts";
import type { StoredObject } from "./upload-sink.ts";
import { UploadSink } from "./upload-sink.ts";

/** Streams a manifest into the repository as the backup goes on; memory is one part, whatever the number of files. */
export class ManifestWriter {
  files = 0;
  bytes = 0;
  packs = 0;
  readonly #sink: UploadSink;
  readonly #payload: PayloadWriter;
  /** lines come from several packs at once; they are written one call after the other */
  #tail: Promise<void> = Promise.resolve();

  private constructor(sink: UploadSink, payload: PayloadWriter) {
    this.#sink = sink;
    this.#payload = payload;
  }

  static async begin(
    repository: Repository,
    identity: ClusterIdentity,
    label: string,
    options: SignalOption & { readonly level: number },
  ): Promise<ManifestWriter> {
    const { store } = repository;
    const key = manifestKey(repository.cluster, identity, label, repository.encrypted);
    const header = repository.encrypted ? await makeHeader(repository.metadataRecipients, undefined) : undefined;
    const upload = await store.beginUpload(key, { ifAbsent: true, signal: options.signal });
    const sink = new UploadSink(upload, store.capabilities.partSize);
    const payload = new PayloadWriter({ zstd: openZstd(options.level), header, write: (bytes) => sink.take(bytes) });
    const writer = new ManifestWriter(sink, payload);
    await writer.add([{ type: "manifest", format: formatVersion, label, identity: formatIdentity(identity) }]);
    return writer;
  }

  /** Adds lines that belong together; they stay together. */
  add(lines: readonly ManifestLine[]): Promise<void> {
    this.#tail = this.#tail.then(async () => {
      this.#payload.write(Buffer.from(lines.map(formatManifestLine).join("")));
      const files = lines.filter((line): line is FileLine => line.type === "file");
      this.files += files.length;
      this.bytes += files.reduce((sum, file) => sum + file.size, 0);
      this.packs += lines.filter((line) => line.type === "pack").length;
      await this.#sink.send();
    });
    return this.#tail;
  }

  /** Ends the manifest and makes it appear; returns what `backup.json` says of it. */
  async end(): Promise<StoredObject> {
    await this.add([{ type: "end", files: this.files, bytes: this.bytes, packs: this.packs }]);
    this.#payload.end(true);
    return this.#sink.end();
  }

  async abort(): Promise<void> {
    await this.#tail.catch(() => undefined);
    await this.#sink.abort();
  }
}
