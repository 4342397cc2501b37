import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { crc32c } from "@node-rs/crc32";
import { errnoOf, ioError, isPgarkError } from "../../errors.ts";
import { findBadPages } from "../../postgres/page-checksum.ts";
import { PayloadWriter } from "../envelope/payload-writer.ts";
import { openZstd } from "../envelope/zstd.ts";
import type { BuildPackTask, BuiltPack, PackedFile, PackEntry } from "./pack-tasks.ts";
import { Counters } from "./pack-tasks.ts";
import { Pacer, pause } from "./pacer.ts";
import { rereadUntilGood } from "./reread-page.ts";
import { PartSender } from "./shared-parts.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar-entry.ts";

/** One reused buffer a worker; a multiple of every page size. */
const readSize = 256 * 1024;

/** Worker: reads files, checks their pages, and sends them as one sealed tar, all in one synchronous loop. */
export function buildPack(task: BuildPackTask): BuiltPack {
  return new PackBuilder(task).build();
}

class PackBuilder {
  readonly #task: BuildPackTask;
  readonly #hash = createHash("sha256");
  readonly #sender: PartSender;
  readonly #payload: PayloadWriter;
  readonly #counters: Counters;
  readonly #pacer: Pacer;
  readonly #buffer = Buffer.allocUnsafeSlow(readSize);
  readonly #files: PackedFile[] = [];

  constructor(task: BuildPackTask) {
    this.#task = task;
    this.#sender = new PartSender(task.parts, task.port, (bytes) => this.#hash.update(bytes));
    this.#payload = new PayloadWriter({
      zstd: openZstd(task.level),
      header: task.header,
      write: (bytes) => this.#sender.write(bytes),
    });
    this.#counters = new Counters(task.counters);
    this.#pacer = new Pacer({ rate: task.rate, now: () => performance.now(), pause });
  }

  build(): BuiltPack {
    for (const entry of this.#task.entries) {
      this.#sender.throwIfStopped();
      this.#add(entry);
    }
    this.#payload.write(tarEnd());
    this.#payload.end(true);
    this.#sender.end();
    return {
      plainSize: this.#payload.plainSize,
      storedSize: this.#sender.size,
      sha256: this.#hash.digest("hex"),
      files: this.#files,
    };
  }

  #add(entry: PackEntry): void {
    switch (entry.kind) {
      case "directory":
        this.#payload.write(
          tarHeader({ type: "Directory", path: entry.path, size: 0, mode: entry.mode, modifiedMs: 0, uid: 0, gid: 0 }),
        );
        return;
      case "content":
        this.#addContent(entry);
        return;
      case "file":
        this.#addFile(entry);
    }
  }

  #addContent(entry: PackEntry & { kind: "content" }): void {
    const { path, mode, modifiedMs, content } = entry;
    this.#payload.write(tarHeader({ type: "File", path, size: content.length, mode, modifiedMs, uid: 0, gid: 0 }));
    const offset = this.#payload.plainSize;
    this.#payload.write(content);
    this.#payload.write(tarPadding(content.length));
    const crc = crc32c(Buffer.from(content));
    this.#files.push({ path, size: content.length, mode, modifiedMs, crc32c: crc, offset, badPages: [] });
    this.#counters.addBytes(content.length);
    this.#counters.addFile();
  }

  #addFile(entry: PackEntry & { kind: "file" }): void {
    let file: number;
    try {
      file = openSync(entry.source, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      // Dropped or truncated away since it was seen; WAL replay knows.
      if (errnoOf(error) === "ENOENT") return;
      throw ioError("read file", entry.path, error);
    }
    try {
      this.#copy(entry, file);
    } catch (error) {
      if (isPgarkError(error) || errnoOf(error) === undefined) throw error;
      throw ioError("read file", entry.path, error);
    } finally {
      closeSync(file);
    }
    this.#counters.addFile();
  }

  /** Copies exactly the size seen now: what the file grows by is in the WAL, what it loses reads as zeros and is too. */
  #copy(entry: PackEntry & { kind: "file" }, file: number): void {
    const { size, mode, mtimeMs, uid, gid } = fstatSync(file);
    const { path } = entry;
    this.#payload.write(tarHeader({ type: "File", path, size, mode, modifiedMs: mtimeMs, uid, gid }));
    const offset = this.#payload.plainSize;
    const badPages: number[] = [];
    let crc = 0;
    for (let done = 0; done < size;) {
      const bytes = this.#read(file, done, Math.min(readSize, size - done));
      if (entry.firstBlock !== undefined) this.#checkPages(file, done, bytes, entry.firstBlock, badPages);
      crc = crc32c(bytes, crc);
      this.#payload.write(bytes);
      done += bytes.length;
      this.#counters.addBytes(bytes.length);
      this.#pacer.read(bytes.length, () => this.#sender.throwIfStopped());
    }
    this.#payload.write(tarPadding(size));
    this.#files.push({ path, size, mode: mode & 0o777, modifiedMs: mtimeMs, crc32c: crc, offset, badPages });
  }

  #read(file: number, position: number, length: number): Buffer {
    let filled = 0;
    while (filled < length) {
      const count = readSync(file, this.#buffer, filled, length - filled, position + filled);
      if (count === 0) break;
      filled += count;
    }
    this.#buffer.fill(0, filled, length);
    return this.#buffer.subarray(0, length);
  }

  /** A page that is bad on every one of several reads is bad; one that was being written is taken as it is afterwards. */
  #checkPages(file: number, position: number, bytes: Buffer, firstBlock: number, found: number[]): void {
    const { blockSize } = this.#task;
    const first = firstBlock + position / blockSize;
    for (const index of findBadPages(bytes, bytes.length, first, blockSize)) {
      const page = bytes.subarray(index * blockSize, (index + 1) * blockSize);
      const read = (into: Uint8Array): number => readSync(file, into, 0, into.length, position + index * blockSize);
      if (!rereadUntilGood(page, first + index, { read, pause })) {
        found.push(position / blockSize + index);
      }
    }
  }
}
