import type { ContainerClient } from "@azure/storage-blob";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type { PutOptions, Upload } from "../../object-store.ts";
import { abortable } from "./azure-requests.ts";
import type { AzureRequests } from "./azure-requests.ts";
import type { AzureStore } from "./azure-store.ts";

/** The most blocks that the service puts together to one object. */
const maxBlocks = 50_000;

export interface AzureUploadOptions {
  readonly store: AzureStore;
  readonly container: ContainerClient;
  readonly requests: AzureRequests;
  readonly key: string;
  readonly options: PutOptions;
  /** who writes; in the name of each block and in the object's metadata */
  readonly token: string;
}

/**
 * An object from blocks. The service keeps uncommitted blocks by the object's name, whoever sent them, so each block's name
 * holds the upload's token: of two writers none can commit the other's. Blocks that are never committed vanish within a week.
 * What fits in less than one part is a plain put.
 */
export class AzureUpload implements Upload {
  readonly #about: AzureUploadOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** names of the blocks that were sent, by index; null for an empty one, which the service does not take */
  readonly #blocks: (string | null | undefined)[] = [];
  #only: Uint8Array | undefined;
  #ended = false;

  constructor(about: AzureUploadOptions) {
    this.#about = about;
    const { signal } = about.options;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  async part(index: number, body: Uint8Array): Promise<void> {
    this.#check("write part");
    if (index === 0 && body.length < this.#about.store.capabilities.partSize) {
      this.#only = Uint8Array.from(body); // the caller may reuse its buffer
    } else {
      await this.stage(index, body);
    }
  }

  /** Sends a part as a block, however short it is. */
  async stage(index: number, body: Uint8Array): Promise<void> {
    const { store, container, requests, key, token } = this.#about;
    if (index >= maxBlocks) throw refused(key, `an object has at most ${maxBlocks} parts`);
    if (body.length === 0) {
      this.#blocks[index] = null;
      return;
    }
    const block = Buffer.from(`${token}-${String(index).padStart(6, "0")}`).toString("base64");
    const { encryptionScope } = store.writeFields(token);
    await requests.run({ operation: "write part", key, signal: this.#signal }, () =>
      container.getBlockBlobClient(store.nameOf(key)).stageBlock(block, body, body.length, {
        ...(encryptionScope === undefined ? {} : { encryptionScope }),
        ...abortable(this.#signal),
      }),
    );
    this.#blocks[index] = block;
  }

  async complete(): Promise<void> {
    const { store, container, requests, key, options, token } = this.#about;
    this.#check("complete object");
    this.#ended = true;
    if (this.#blocks.length === 0) return store.put(key, this.#only ?? new Uint8Array(), options);
    // Array.from sees holes where includes and map would pass over them.
    const blocks = Array.from(this.#blocks);
    if (this.#only !== undefined || blocks.includes(undefined)) throw refused(key, "a part is missing or too short");
    const names = blocks.filter((block) => typeof block === "string");
    try {
      await requests.run({ operation: "complete object", key, signal: options.signal }, () =>
        container
          .getBlockBlobClient(store.nameOf(key))
          .commitBlockList(names, { ...store.writeFields(token, options.ifAbsent), ...abortable(options.signal) }),
      );
    } catch (error) {
      if ((await store.settle(this.#asExists(error), key, token, options)) === "nothing") throw error;
    }
  }

  async abort(): Promise<void> {
    this.#ended = true;
    this.#only = undefined;
    this.#stop.abort();
  }

  #check(operation: string): void {
    throwIfAborted(this.#about.options.signal, operation);
    if (this.#ended) throw refused(this.#about.key, "the upload has ended");
  }

  /** When another writer's object appears, the service forgets our blocks; who holds the name then tells. */
  #asExists(error: unknown): unknown {
    if (!isPgarkError(error) || error.facts?.["code"] !== "InvalidBlockList") return error;
    return new PgarkError("exists", "another writer was first", {
      operation: "complete object",
      object: this.#about.key,
      cause: error,
    });
  }
}

function refused(key: string, problem: string): PgarkError {
  return new PgarkError("refused", problem, { operation: "write object", object: key });
}
