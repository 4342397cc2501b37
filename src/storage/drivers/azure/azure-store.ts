import { randomUUID } from "node:crypto";
import type { BlockBlobUploadOptions, ContainerClient } from "@azure/storage-blob";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignalOption,
  Upload,
} from "../../object-store.ts";
import { readBody } from "./azure-body.ts";
import { connectToAzure } from "./azure-client.ts";
import type { AzureConnection } from "./azure-client.ts";
import { findAzureAccess } from "./azure-credentials.ts";
import { AzureDeleter } from "./azure-delete.ts";
import { listFolders, listObjects } from "./azure-listing.ts";
import type { AzureListing } from "./azure-listing.ts";
import { abortable, AzureRequests } from "./azure-requests.ts";
import type { AzureSettings } from "./azure-settings.ts";
import { parseAzureUrl } from "./azure-settings.ts";
import { defaultTuning } from "./azure-tuning.ts";
import type { AzureTuning } from "./azure-tuning.ts";
import { AzureUpload } from "./azure-upload.ts";

/** Where speed peaks; the 50,000 blocks of an object are 400 GB. */
const partSize = 8 * 1024 * 1024;
/** What metadata every object carries: who wrote it, so that a writer whose answer was lost knows its own work. */
const tokenName = "pgark_write";

/** Opens an `azure://` repository; makes no request yet. */
export async function openAzureStore(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
  tuning: Partial<AzureTuning> = {},
): Promise<AzureStore> {
  const settings = parseAzureUrl(url);
  const access = await findAzureAccess(settings, environment);
  const tuned = { ...defaultTuning, ...tuning };
  return new AzureStore(settings, connectToAzure(settings, access, environment, tuned), tuned);
}

/** Objects as block blobs in a container of Azure Blob Storage. */
export class AzureStore implements ObjectStore {
  readonly url: string;
  readonly capabilities = { conditionalCreate: true, partSize };
  readonly #settings: AzureSettings;
  readonly #connection: AzureConnection;
  readonly #container: ContainerClient;
  readonly #requests: AzureRequests;
  readonly #deleter: AzureDeleter;
  readonly #listing: AzureListing;
  readonly #now: () => number;

  constructor(settings: AzureSettings, connection: AzureConnection, tuning: AzureTuning) {
    const { bucket, prefix } = settings.url;
    this.url = `azure://${bucket}/${prefix}`.replace(/\/$/, "");
    this.#settings = settings;
    this.#connection = connection;
    this.#container = connection.container;
    this.#requests = new AzureRequests(tuning);
    this.#listing = { container: this.#container, requests: this.#requests, prefix };
    this.#deleter = new AzureDeleter(this.#listing);
    this.#now = tuning.now;
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    const { signal, ifAbsent } = options;
    const token = newToken();
    try {
      await this.#requests.run({ operation: "write object", key, signal }, () =>
        this.#container
          .getBlockBlobClient(this.nameOf(key))
          .upload(body, body.length, { ...this.writeFields(token, ifAbsent), ...abortable(signal) }),
      );
    } catch (error) {
      if ((await this.settle(error, key, token, options)) === "written") return;
      // Azurite takes the blocks that an upload left behind for an object, except when blocks are committed.
      const upload = this.#newUpload(key, options);
      await upload.stage(0, body);
      await upload.complete();
    }
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    return this.#newUpload(key, options);
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal } = options;
    if (range?.length === 0) {
      await this.head(key, options); // the service has no empty ranges, but knows whether there is such an object
      return new Uint8Array();
    }
    try {
      return await this.#requests.run({ operation: "read object", key, signal }, async () => {
        const answer = await this.#container
          .getBlobClient(this.nameOf(key))
          .download(range?.offset ?? 0, range?.length, {
            ...abortable(signal),
            maxRetryRequests: 0,
          });
        return readBody(answer.readableStreamBody, answer.contentLength ?? 0);
      });
    } catch (error) {
      // A range that begins past the end has nothing in it; that is no failure.
      if (range !== undefined && isPgarkError(error) && error.facts?.["status"] === 416) return new Uint8Array();
      throw error;
    }
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    const { contentLength, lastModified } = await this.#properties(key, options);
    return { key, size: contentLength ?? 0, modified: lastModified ?? new Date(0) };
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    return listObjects(this.#listing, prefix, options);
  }

  listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    return listFolders(this.#listing, prefix, options);
  }

  delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    return this.#deleter.delete(keys, options.signal);
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  /** The blob's name in the container; for the upload too. */
  nameOf(key: string): string {
    return this.#settings.url.prefix + key;
  }

  /** What every request that makes an object carries; for the upload too. */
  writeFields(token: string, ifAbsent = false): WriteFields {
    const { tier, encryptionScope, tags, lock } = this.#settings;
    return {
      metadata: { [tokenName]: token },
      ...(ifAbsent ? { conditions: { ifNoneMatch: "*" } } : {}),
      ...(tier === undefined ? {} : { tier }),
      ...(encryptionScope === undefined ? {} : { encryptionScope }),
      ...(tags === undefined ? {} : { tags: { ...tags } }),
      ...(lock === undefined
        ? {}
        : {
            immutabilityPolicy: { policyMode: lock.mode, expiriesOn: new Date(this.#now() + lock.days * 86_400_000) },
          }),
    };
  }

  /**
   * The end of a write that failed. When the object exists because this very write made it and only the answer was lost, it
   * is `written`; when there is none, whatever the service said, it is `nothing`. Else the error is thrown, as `exists` where
   * an object is in the way.
   */
  async settle(error: unknown, key: string, token: string, options: PutOptions): Promise<"written" | "nothing"> {
    const failure = options.ifAbsent ? asExists(error, key) : error;
    if (!isPgarkError(failure, "exists")) throw failure;
    try {
      const { metadata } = await this.#properties(key, options);
      if (metadata?.[tokenName] === token) return "written";
    } catch (lookUp) {
      if (isPgarkError(lookUp, "not-found")) return "nothing";
      // Who may not look has to believe it.
      if (!isPgarkError(lookUp, "denied")) throw lookUp;
    }
    throw failure;
  }

  #newUpload(key: string, options: PutOptions): AzureUpload {
    const [container, requests] = [this.#container, this.#requests];
    return new AzureUpload({ store: this, container, requests, key, options, token: newToken() });
  }

  async #properties(key: string, { signal }: SignalOption) {
    return this.#requests.run({ operation: "look up object", key, signal }, () =>
      this.#container.getBlobClient(this.nameOf(key)).getProperties(abortable(signal)),
    );
  }
}

type WriteFields = Pick<
  BlockBlobUploadOptions,
  "metadata" | "conditions" | "tier" | "encryptionScope" | "tags" | "immutabilityPolicy"
>;

/** Hex digits alone: it becomes part of the names of blocks, which have at most 64 bytes. */
function newToken(): string {
  return randomUUID().replaceAll("-", "");
}

/** A locked object, or credentials that cannot overwrite, may be the first to be in the way: an object is there all the same. */
function asExists(error: unknown, key: string): unknown {
  if (!isPgarkError(error)) return error;
  const code = error.facts?.["code"];
  if (code !== "BlobImmutableDueToPolicy" && code !== "UnauthorizedBlobOverwrite" && code !== "InvalidBlobType")
    return error;
  return new PgarkError("exists", "the object exists already", {
    operation: error.operation,
    object: key,
    cause: error,
  });
}
