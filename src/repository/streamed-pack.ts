import { crc32c } from "@node-rs/crc32";
import type { Upload } from "../storage/object-store.ts";
import { PayloadWriter } from "./envelope/payload-writer.ts";
import { openZstd } from "./envelope/zstd.ts";
import type { ManifestLine } from "./manifest.ts";
import type { NumberedPack, PackUploader } from "./pack-uploader.ts";
import { UploadSink } from "./upload-sink.ts";
import { FramePipeline } from "./worker/frame-pipeline.ts";
import type { PackedFile } from "./worker/pack-tasks.ts";
import { Counters } from "./worker/pack-tasks.ts";
import { tarEnd, tarHeader, tarPadding } from "./worker/tar-entry.ts";

/** What is known of a file before its bytes come. */
export interface StreamedFile {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
  readonly modifiedMs: number;
}

/**
 * Writes the packs of a backup that comes as one stream. Workers compress; what depends on the order of the compressed bytes
 * (age chunks, digest) is done here, on a third of the bytes.
 */
export class StreamedPackWriter {
  readonly #uploader: PackUploader;
  readonly #pipeline: FramePipeline;
  readonly #counters: Counters;
  #open: OpenPack | undefined;
  #file: (StreamedFile & { readonly offset: number; crc: number }) | undefined;

  constructor(uploader: PackUploader) {
    this.#uploader = uploader;
    this.#pipeline = new FramePipeline(uploader.pool, uploader.level);
    this.#counters = new Counters(uploader.counters);
  }

  /** Bytes in the pack that is being written. */
  get packSize(): number {
    return this.#open?.plainSize ?? 0;
  }

  get packFiles(): number {
    return this.#open?.files.length ?? 0;
  }

  async addDirectory(path: string, mode: number, line: ManifestLine): Promise<void> {
    const pack = await this.#pack();
    pack.lines.push(line);
    await this.#write(tarHeader({ type: "Directory", path, size: 0, mode, modifiedMs: 0, uid: 0, gid: 0 }));
  }

  async beginFile(file: StreamedFile): Promise<void> {
    await this.#pack();
    await this.#write(tarHeader({ type: "File", uid: 0, gid: 0, ...file }));
    this.#file = { ...file, offset: this.packSize, crc: 0 };
  }

  /** More bytes of the file that was begun. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#file !== undefined) {
      this.#file.crc = crc32c(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), this.#file.crc);
    }
    this.#counters.addBytes(bytes.length);
    await this.#write(bytes);
  }

  async endFile(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    await this.#write(tarPadding(file.size));
    const { path, size, mode, modifiedMs, offset } = file;
    this.#open?.files.push({ path, size, mode, modifiedMs, crc32c: file.crc, offset, badPages: [] });
    this.#counters.addFile();
  }

  /** Ends the pack that is being written, if any, and enters it into the manifest. */
  async endPack(): Promise<void> {
    const pack = this.#open;
    if (pack === undefined) return;
    await this.#write(tarEnd());
    await this.#pipeline.flush(pack.consume, pack.consumed);
    pack.payload.end(true);
    const { sha256, size } = await pack.sink.end();
    this.#open = undefined;
    const built = { plainSize: pack.plainSize, storedSize: size, sha256, files: pack.files };
    await this.#uploader.record(pack.pack, built, pack.lines);
  }

  async abort(): Promise<void> {
    await this.#open?.sink.abort();
  }

  /** Gives the workers back; to be called at the end in any case. */
  async close(): Promise<void> {
    await this.#pipeline.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const pack = await this.#pack();
    pack.plainSize += bytes.length;
    await this.#pipeline.write(bytes, pack.consume, pack.consumed);
  }

  async #pack(): Promise<OpenPack> {
    if (this.#open !== undefined) return this.#open;
    const pack = this.#uploader.nextPack();
    const header = await this.#uploader.makeHeader();
    const { upload, partSize } = await this.#uploader.beginUpload(pack);
    this.#open = new OpenPack(pack, upload, partSize, (write) => {
      return new PayloadWriter({ zstd: openZstd(this.#uploader.level), header, write });
    });
    return this.#open;
  }
}

class OpenPack {
  plainSize = 0;
  readonly pack: NumberedPack;
  readonly files: PackedFile[] = [];
  readonly lines: ManifestLine[] = [];
  readonly sink: UploadSink;
  readonly payload: PayloadWriter;

  constructor(
    pack: NumberedPack,
    upload: Upload,
    partSize: number,
    payload: (write: (bytes: Uint8Array) => void) => PayloadWriter,
  ) {
    this.pack = pack;
    this.sink = new UploadSink(upload, partSize);
    this.payload = payload((bytes) => this.sink.take(bytes));
  }

  readonly consume = (frame: Uint8Array, plainSize: number): void => this.payload.writeFrame(frame, plainSize);
  readonly consumed = (): Promise<void> => this.sink.send();
}
