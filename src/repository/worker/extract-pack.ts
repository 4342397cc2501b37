import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { crc32c } from "@node-rs/crc32";
import { errnoOf, ioError, PgarkError } from "../../errors.ts";
import { PayloadReader } from "../envelope/payload-reader.ts";
import { openZstd } from "../envelope/zstd.ts";
import type { ExtractFile, ExtractPackTask } from "./pack-tasks.ts";
import { Counters } from "./pack-tasks.ts";
import { PartReceiver } from "./shared-parts.ts";

/** Worker: turns the parts of a pack into files, each verified. Syncing them is the caller's, all at once. */
export function extractPack(task: ExtractPackTask): void {
  const receiver = new PartReceiver(task.parts, task.port);
  const files = new FileWriter(task.files, new Counters(task.counters));
  const reader = new PayloadReader({ zstd: openZstd(1), key: task.key, plain: (bytes) => files.write(bytes) });
  try {
    for (let done = 0; done < task.storedSize;) done += receiver.take((bytes) => reader.write(bytes));
    reader.end();
    files.end();
  } finally {
    files.close();
  }
}

/** Cuts the plain tar into the files that are wanted of it. Their places come from the manifest, not from the tar's headers. */
class FileWriter {
  readonly #files: readonly ExtractFile[];
  readonly #counters: Counters;
  #index = 0;
  #position = 0;
  #open: { readonly handle: number; crc: number; written: number } | undefined;

  constructor(files: readonly ExtractFile[], counters: Counters) {
    this.#files = files;
    this.#counters = counters;
  }

  write(bytes: Uint8Array): void {
    const end = this.#position + bytes.length;
    for (
      let file = this.#files[this.#index];
      file !== undefined && file.offset <= end;
      file = this.#files[this.#index]
    ) {
      const begin = Math.max(file.offset, this.#position);
      const stop = Math.min(file.offset + file.size, end);
      this.#append(file, bytes.subarray(begin - this.#position, stop - this.#position));
      if (file.offset + file.size > end) break;
      this.#finish(file);
      this.#index++;
    }
    this.#position = end;
  }

  end(): void {
    const missing = this.#files[this.#index];
    if (missing !== undefined) throw damaged(missing.path, "the pack ends before the file does");
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.handle);
  }

  #append(file: ExtractFile, bytes: Uint8Array): void {
    this.#open ??= { handle: create(file), crc: 0, written: 0 };
    this.#open.crc = crc32c(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), this.#open.crc);
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#open.handle, bytes, done);
    } catch (error) {
      throw ioError("write file", file.target, error);
    }
    this.#open.written += bytes.length;
    this.#counters.addBytes(bytes.length);
  }

  #finish(file: ExtractFile): void {
    const open = this.#open;
    if (open === undefined) return;
    if (open.written !== file.size || open.crc !== file.crc32c)
      throw damaged(file.path, "its digest is not the manifest's");
    closeSync(open.handle);
    this.#open = undefined;
    this.#counters.addFile();
  }
}

function create(file: ExtractFile): number {
  try {
    try {
      return openSync(file.target, "wx", file.mode);
    } catch (error) {
      // Directories come as the manifest lists them, which need not be before their files.
      if (errnoOf(error) !== "ENOENT") throw error;
      mkdirSync(path.dirname(file.target), { recursive: true, mode: 0o700 });
      return openSync(file.target, "wx", file.mode);
    }
  } catch (error) {
    throw ioError("create file", file.target, error);
  }
}

function damaged(file: string, problem: string): PgarkError {
  return new PgarkError("corrupt", `the backup is damaged: ${problem}`, {
    operation: "restore file",
    object: file,
    hint: "restore from another backup (`pgark list`); `--backup` names it",
  });
}
