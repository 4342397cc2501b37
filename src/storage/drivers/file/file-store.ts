import { open, readFile, rmdir, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { errnoOf, ioError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignalOption,
  Upload,
} from "../../object-store.ts";
import { createTemporaryFile, discard, publish } from "./durable-write.ts";
import type { TemporaryFile } from "./durable-write.ts";
import { listDirectory, sortedEntries } from "./list-directory.ts";

const partSize = 1024 * 1024;

/** Objects as files below a directory: a disk, NFS, or anything that is mounted. */
export class FileStore implements ObjectStore {
  readonly url: string;
  readonly capabilities = { conditionalCreate: true, partSize };
  readonly #root: string;

  /** @param root an absolute path; it is created by the first write */
  constructor(root: string) {
    this.#root = root;
    this.url = `file://${root}`;
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    await this.#write(key, options, async (file) => {
      await writeFully(file, body, 0);
    });
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    const target = this.#pathOf(key);
    const file = await this.#translate("write object", key, () => createTemporaryFile(this.#root));
    return {
      part: (index, body) =>
        this.#translate("write object", key, async () => {
          throwIfAborted(options.signal, "write object");
          await writeFully(file, body, index * partSize);
        }),
      complete: () => this.#publish(key, target, file, options),
      abort: () => discard(file),
    };
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    throwIfAborted(options.signal, "read object");
    const { range, signal } = options;
    return this.#translate("read object", key, async () => {
      if (range === undefined) return readFile(this.#pathOf(key), { signal });
      const handle = await open(this.#pathOf(key), "r");
      try {
        return await readRange(handle, range.offset, range.length);
      } finally {
        await handle.close();
      }
    });
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    throwIfAborted(options.signal, "look up object");
    return this.#translate("look up object", key, async () => {
      const found = await stat(this.#pathOf(key));
      if (found.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "ENOENT" });
      return { key, size: found.size, modified: found.mtime };
    });
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    let seen = 0;
    try {
      for (const info of listDirectory(this.#root, prefix, options.startAfter ?? "")) {
        // Let signals and timers in: a list of millions is one long run of synchronous calls.
        if (++seen % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(options.signal, "list objects");
        yield info;
      }
    } catch (error) {
      throw translate("list objects", prefix, error);
    }
  }

  async listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    throwIfAborted(options.signal, "list objects");
    return this.#translate("list objects", prefix, async () =>
      sortedEntries(this.#root, prefix)
        .filter((entry) => entry.endsWith("/"))
        .map((entry) => prefix + entry),
    );
  }

  async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    for (const key of keys) {
      throwIfAborted(options.signal, "delete object");
      await this.#translate("delete object", key, async () => {
        await unlink(this.#pathOf(key)).catch((error: unknown) => {
          if (errnoOf(error) !== "ENOENT") throw error;
        });
        await this.#removeEmptyFolders(path.dirname(this.#pathOf(key)));
      });
    }
  }

  async close(): Promise<void> {
    // nothing is held open
  }

  async #write(key: string, options: PutOptions, fill: (file: TemporaryFile) => Promise<void>): Promise<void> {
    throwIfAborted(options.signal, "write object");
    const target = this.#pathOf(key);
    await this.#translate("write object", key, async () => {
      const file = await createTemporaryFile(this.#root);
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
    await this.#translate("write object", key, async () => {
      try {
        throwIfAborted(options.signal, "write object");
        await publish(file, target, options.ifAbsent);
      } catch (error) {
        await discard(file);
        throw error;
      }
    });
  }

  /** An empty folder is no object; it goes with its last file. Losing a race against a new file is fine. */
  async #removeEmptyFolders(folder: string): Promise<void> {
    for (let current = folder; current.startsWith(`${this.#root}${path.sep}`); current = path.dirname(current)) {
      try {
        await rmdir(current);
      } catch {
        return;
      }
    }
  }

  #pathOf(key: string): string {
    if (key === "" || key.split("/").some((part) => part === "" || part === "." || part === "..")) {
      throw new PgarkError("usage", "not an object key", { operation: "use object", object: key });
    }
    return path.join(this.#root, key);
  }

  async #translate<T>(operation: string, key: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw translate(operation, key, error);
    }
  }
}

async function writeFully(file: TemporaryFile, body: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < body.length;) {
    done += (await file.handle.write(body, done, body.length - done, position + done)).bytesWritten;
  }
}

async function readRange(
  handle: Awaited<ReturnType<typeof open>>,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const size = (await handle.stat()).size;
  const wanted = Math.max(0, Math.min(length, size - offset));
  const buffer = Buffer.allocUnsafe(wanted);
  let done = 0;
  while (done < wanted) {
    const { bytesRead } = await handle.read(buffer, done, wanted - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

function translate(operation: string, key: string, error: unknown): unknown {
  if (error instanceof Error && error.name === "PgarkError") return error;
  if (error instanceof Error && error.name === "AbortError") {
    return new PgarkError("aborted", "stopped", { operation, object: key, cause: error });
  }
  switch (errnoOf(error)) {
    case "ENOENT":
      return new PgarkError("not-found", "no such object", { operation, object: key, cause: error });
    case "EEXIST":
      return new PgarkError("exists", "the object exists already", { operation, object: key, cause: error });
    case "EIO":
    case "ESTALE":
    case "ETIMEDOUT":
    case "EHOSTDOWN":
      return new PgarkError("unavailable", error instanceof Error ? error.message : "input/output error", {
        operation,
        object: key,
        cause: error,
        hint: "the file system that holds the repository does not answer properly: check the mount",
      });
    default:
      return ioError(operation, key, error);
  }
}
