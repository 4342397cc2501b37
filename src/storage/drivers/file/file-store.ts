import { open, rmdir, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { errnoOf, PgarkError, throwIfAborted } from "../../../errors.ts";
import { isRefusal, throwUndeleted } from "../../undeleted.ts";
import type {
  ByteRange,
  GetOptions,
  Leftover,
  ListedObject,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignalOption,
  Upload,
} from "../../object-store.ts";
import { DurableDirectories, syncDirectory } from "./durable-directories.ts";
import { publish } from "./durable-write.ts";
import { readDirectly, writeDirectly } from "./direct-io.ts";
import { translateFileError } from "./file-errors.ts";
import { listDirectory, listNames, sortedEntries } from "./list-directory.ts";
import type { TemporaryFile } from "./temporary-files.ts";
import {
  createTemporaryFile,
  discard,
  leftTemporaryFiles,
  removeTemporaryFile,
  sweepTemporaryFiles,
} from "./temporary-files.ts";

const partSize = 1024 * 1024;

/** Objects as files below a directory: a disk, NFS, or anything that is mounted. */
export class FileStore implements ObjectStore {
  readonly url: string;
  readonly capabilities = { conditionalCreate: true, partSize };
  /** Temporary files, which do not tell the key that they were for. */
  readonly leftovers = { list: () => this.#listLeftovers(), remove: (file: Leftover) => this.#removeLeftover(file) };
  readonly #root: string;
  readonly #directories: DurableDirectories;
  readonly #mayCreate: boolean;
  #swept = false;

  /**
   * @param root an absolute path
   * @param options.create whether the first write makes a root that is missing or empty. Otherwise that is a disk that is not
   * mounted, and what was written there would be lost to sight when it is mounted again.
   */
  constructor(root: string, { create }: { readonly create: boolean }) {
    this.#root = root;
    this.#mayCreate = create;
    this.#directories = new DurableDirectories(root);
    this.url = `file://${root}`;
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    await this.#write(key, options, async (file) => {
      const done = await writeDirectly(file.path, body);
      await writeFully(file, body.subarray(done), done);
    });
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    const target = this.#pathOf(key);
    const file = await this.#writing(key, () => createTemporaryFile(this.#root, this.#mayCreate));
    if (!this.#swept) {
      // Once for each store that is opened, and only with large objects: archiving a segment does not pay for it.
      this.#swept = true;
      await sweepTemporaryFiles(this.#root, file);
    }
    return {
      part: (index, body) =>
        this.#writing(key, async () => {
          throwIfAborted(options.signal, "write object");
          await writeFully(file, body, index * partSize);
        }),
      complete: () => this.#publish(key, target, file, options),
      abort: () => discard(file),
    };
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    throwIfAborted(options.signal, "read object");
    const { range, into, signal } = options;
    return this.#reading("read object", key, async () => {
      const name = this.#pathOf(key);
      const handle = await open(name, "r");
      try {
        if (range !== undefined) return await readRange(handle, range, into, signal);
        return await readRange(handle, { offset: 0, length: Number.POSITIVE_INFINITY }, into, signal, name);
      } finally {
        await handle.close();
      }
    });
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    throwIfAborted(options.signal, "look up object");
    return this.#reading("look up object", key, async () => {
      const found = await stat(this.#pathOf(key));
      if (found.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "ENOENT" });
      return { key, size: found.size, modified: found.mtime };
    });
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    return this.#listing(prefix, options, listDirectory(this.#root, prefix, options.startAfter ?? ""));
  }

  listLazily(prefix: string, options: ListOptions = {}): AsyncIterable<ListedObject> {
    return this.#listing(prefix, options, listNames(this.#root, prefix, options.startAfter ?? ""));
  }

  async listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    throwIfAborted(options.signal, "list objects");
    return this.#reading("list objects", prefix, async () =>
      sortedEntries(this.#root, prefix)
        .filter((entry) => entry.endsWith("/"))
        .map((entry) => prefix + entry),
    );
  }

  async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    const refusals = new Map<string, PgarkError>();
    const folders = new Set<string>();
    for (const key of keys) {
      throwIfAborted(options.signal, "delete object");
      const remove = async (): Promise<void> => {
        const file = this.#pathOf(key);
        await unlink(file).catch((error: unknown) => {
          // Not there; or the key names a folder or goes through a file, so that no object of this name can be.
          if (!["ENOENT", "ENOTDIR", "EISDIR"].includes(errnoOf(error) ?? "")) throw error;
        });
        folders.add(path.dirname(file));
      };
      try {
        await this.#writing(key, remove, "delete object");
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refusals.set(key, error);
      }
    }
    for (const folder of folders) await this.#writing(folder, () => this.#tidyFolders(folder), "delete object");
    throwUndeleted(refusals);
  }

  async close(): Promise<void> {
    // nothing is held open
  }

  async *#listing<T>(prefix: string, { signal }: SignalOption, found: Iterable<T>): AsyncIterable<T> {
    let seen = 0;
    try {
      for (const each of found) {
        // Let signals and timers in: a list of millions is one long run of synchronous calls.
        if (++seen % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(signal, "list objects");
        yield each;
      }
    } catch (error) {
      throw translateFileError("list objects", prefix, error, true);
    }
  }

  async #write(key: string, options: PutOptions, fill: (file: TemporaryFile) => Promise<void>): Promise<void> {
    throwIfAborted(options.signal, "write object");
    const target = this.#pathOf(key);
    await this.#writing(key, async () => {
      const file = await createTemporaryFile(this.#root, this.#mayCreate);
      try {
        await fill(file);
      } catch (error) {
        await discard(file);
        throw error;
      }
      await this.#publish(key, target, file, options);
    });
  }

  async #publish(key: string, target: string, file: TemporaryFile, options: PutOptions): Promise<void> {
    await this.#writing(key, async () => {
      try {
        throwIfAborted(options.signal, "write object");
        await publish(this.#directories, file, target, options.ifAbsent);
      } catch (error) {
        await discard(file);
        throw error;
      }
    });
  }

  async *#listLeftovers(): AsyncIterable<Leftover> {
    yield* await this.#reading("list unfinished files", this.#root, () => leftTemporaryFiles(this.#root));
  }

  async #removeLeftover(file: Leftover): Promise<void> {
    await this.#writing(file.key, () => removeTemporaryFile(this.#root, file.id), "delete unfinished file");
  }

  /**
   * Makes deletions in a folder durable. An empty folder is no object; it goes with its last file, and so do those above it.
   * Losing a race against a new file is fine.
   */
  async #tidyFolders(folder: string): Promise<void> {
    let current = folder;
    for (; current.startsWith(`${this.#root}${path.sep}`); current = path.dirname(current)) {
      try {
        await rmdir(current);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") break;
      }
    }
    await syncDirectory(current).catch((error: unknown) => {
      // It went away, or is no folder: then nothing was deleted in it.
      if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
    });
  }

  #pathOf(key: string): string {
    if (key === "" || key.split("/").some((part) => part === "" || part === "." || part === "..")) {
      throw new PgarkError("usage", "not an object key", { operation: "use object", object: key });
    }
    return path.join(this.#root, key);
  }

  async #reading<T>(operation: string, key: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw translateFileError(operation, key, error, true);
    }
  }

  async #writing<T>(key: string, run: () => Promise<T>, operation = "write object"): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw translateFileError(operation, key, error, false);
    }
  }
}

async function writeFully(file: TemporaryFile, body: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < body.length;) {
    done += (await file.handle.write(body, done, body.length - done, position + done)).bytesWritten;
  }
}

/** @param whole the file's name when all of it is read */
async function readRange(
  handle: FileHandle,
  { offset, length }: ByteRange,
  into: Uint8Array | undefined,
  signal: AbortSignal | undefined,
  whole?: string,
): Promise<Uint8Array> {
  const found = await handle.stat();
  // Reading one would say so, but not where its size is 0.
  if (found.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
  // A size of 0 is not taken at its word: what is no plain file, or lies on a failing disk, says so when it is read.
  const size = found.size === 0 ? 1 : found.size;
  const wanted = Math.max(0, Math.min(length, size - offset));
  const buffer = into !== undefined && into.length >= wanted ? into : Buffer.allocUnsafe(wanted);
  let done = whole === undefined || buffer !== into ? 0 : await readDirectly(whole, buffer, wanted);
  while (done < wanted) {
    throwIfAborted(signal, "read object");
    const { bytesRead } = await handle.read(buffer, done, wanted - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
