import { PgarkError, throwIfAborted } from "../../../errors.ts";
import { compareKeys } from "../../compare-keys.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignalOption,
  Upload,
} from "../../object-store.ts";

interface StoredObject {
  readonly body: Uint8Array;
  readonly modified: Date;
}

/** Objects in memory, for tests; as strict as the contract. */
export class MemoryStore implements ObjectStore {
  readonly url = "memory:";
  readonly capabilities = { conditionalCreate: true, partSize: 64 * 1024 };
  readonly #objects = new Map<string, StoredObject>();
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    throwIfAborted(options.signal, "write object");
    if (options.ifAbsent && this.#objects.has(key)) {
      throw new PgarkError("exists", "the object exists already", { operation: "write object", object: key });
    }
    this.#objects.set(key, { body: Uint8Array.from(body), modified: this.#now() });
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    const parts = new Map<number, Uint8Array>();
    let gone = false;
    const check = (): void => {
      throwIfAborted(options.signal, "write object");
      if (gone) throw new PgarkError("unavailable", "the upload has ended", { operation: "write object", object: key });
    };
    return {
      part: async (index, body) => {
        check();
        parts.set(index, Uint8Array.from(body));
      },
      complete: async () => {
        check();
        gone = true;
        const ordered = [...parts].sort(([a], [b]) => a - b).map(([, body]) => body);
        await this.put(key, Buffer.concat(ordered), options);
      },
      abort: async () => {
        gone = true;
        parts.clear();
      },
    };
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    throwIfAborted(options.signal, "read object");
    const { body } = this.#find(key, "read object");
    if (options.range === undefined) return Uint8Array.from(body);
    return body.slice(options.range.offset, options.range.offset + options.range.length);
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    throwIfAborted(options.signal, "look up object");
    const { body, modified } = this.#find(key, "look up object");
    return { key, size: body.length, modified };
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    for (const key of this.#keys(prefix)) {
      throwIfAborted(options.signal, "list objects");
      if (options.startAfter !== undefined && compareKeys(key, options.startAfter) <= 0) continue;
      if (this.#objects.has(key)) yield this.head(key);
    }
  }

  async listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    throwIfAborted(options.signal, "list objects");
    const folders = new Set<string>();
    for (const key of this.#keys(prefix)) {
      const slash = key.indexOf("/", prefix.length);
      if (slash >= 0) folders.add(key.slice(0, slash + 1));
    }
    return [...folders];
  }

  async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    throwIfAborted(options.signal, "delete object");
    for (const key of keys) this.#objects.delete(key);
  }

  async close(): Promise<void> {
    // nothing is held open
  }

  #keys(prefix: string): readonly string[] {
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
  }

  #find(key: string, operation: string): StoredObject {
    const found = this.#objects.get(key);
    if (found === undefined) throw new PgarkError("not-found", "no such object", { operation, object: key });
    return found;
  }
}
