import { randomUUID } from "node:crypto";
import { crc32c } from "@node-rs/crc32";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import { deleteSingly } from "../../delete-singly.ts";
import { throwUndeleted } from "../../undeleted.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignalOption,
  StoreCapabilities,
  Upload,
} from "../../object-store.ts";
import { arrivedWhole, crcText } from "./gcs-checksum.ts";
import { GcsClient, gcsSurroundings } from "./gcs-client.ts";
import type { GcsRequest } from "./gcs-client.ts";
import { encryptionHeaders } from "./gcs-encryption.ts";
import { answerError, namesTheObject, noSuchBucket } from "./gcs-errors.ts";
import type { HttpAnswer } from "./gcs-http.ts";
import { objectPage, objectResource } from "./gcs-resource.ts";
import type { ObjectPage, ObjectResource } from "./gcs-resource.ts";
import { GcsSession } from "./gcs-session.ts";
import { parseGcsUrl } from "./gcs-settings.ts";
import { GcsUpload } from "./gcs-upload.ts";

/** Where speed peaks; a multiple of the 256 KiB that sessions count in. */
const partSize = 8 * 1024 * 1024;
const pageSize = "1000";
/** What metadata every object carries: who wrote it, so that a writer whose answer was lost knows its own work. */
const tokenName = "pgark-write";

/** What an object must be once it is there. */
export interface Sent {
  readonly size: number;
  /** CRC-32C */
  readonly crc: number;
}

/** Opens a `gs://` repository. */
export function openGcsStore(url: string, environment: Readonly<Record<string, string | undefined>>): GcsStore {
  return new GcsStore(new GcsClient(parseGcsUrl(url), gcsSurroundings(environment)));
}

/** Objects in Google Cloud Storage, over its JSON API. */
export class GcsStore implements ObjectStore {
  readonly url: string;
  readonly capabilities: StoreCapabilities = { conditionalCreate: true, partSize };
  readonly #client: GcsClient;
  readonly #encryption: Readonly<Record<string, string>>;

  constructor(client: GcsClient) {
    const { url, encryptionKeyFile } = client.settings;
    this.url = `gs://${url.bucket}/${url.prefix}`.replace(/\/$/, "");
    this.#client = client;
    this.#encryption = encryptionHeaders(encryptionKeyFile);
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    throwIfAborted(options.signal, "write object");
    const token = randomUUID();
    const crc = crc32c(body);
    const boundary = randomUUID();
    const head =
      `--${boundary}\r\ncontent-type: application/json\r\n\r\n` +
      JSON.stringify({ ...this.#metadata(key, token), crc32c: crcText(crc) }) +
      `\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`;
    const request: GcsRequest = {
      operation: "write object",
      key,
      method: "POST",
      url: this.#client.uploadUrl({ ...this.#writeQuery(options), uploadType: "multipart" }),
      headers: { ...this.#encryption, "content-type": `multipart/related; boundary=${boundary}` },
      body: [Buffer.from(head), body, Buffer.from(`\r\n--${boundary}--`)],
      signal: options.signal,
    };
    try {
      const answer = await this.#client.retry(options.signal, () => this.#client.send(request));
      await this.checkStored(key, answer, { size: body.length, crc });
    } catch (error) {
      if (!isPgarkError(error, "exists")) throw error;
      await this.settle(error, key, token, options);
    }
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    return new GcsUpload({ store: this, key, options, token: randomUUID() });
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal } = options;
    throwIfAborted(signal, "read object");
    if (range?.length === 0) return new Uint8Array();
    const answer = await this.#client.retry(signal, async () => {
      const read = await this.#ask("read object", key, { alt: "media" }, options, {
        ...this.#encryption,
        ...(range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` }),
      });
      if (arrivedWhole(read)) return read;
      const problem = "the content was damaged on its way";
      throw new PgarkError("unavailable", problem, { operation: "read object", object: key });
    });
    // A range that begins past the end has nothing in it; that is no failure.
    if (answer.status === 416) return new Uint8Array();
    const isWhole = range !== undefined && answer.status === 200;
    return isWhole ? answer.body.subarray(range.offset, range.offset + range.length) : answer.body;
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    return this.#info(await this.#look(key, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const { startAfter } = options;
    const after = startAfter === undefined ? undefined : this.#client.settings.url.prefix + startAfter;
    const query = {
      fields: "kind,nextPageToken,items(name,size,timeCreated)",
      ...(after === undefined ? {} : { startOffset: after }),
    };
    for await (const { items = [] } of this.#pages(prefix, query, options)) {
      for (const item of items) {
        if (item.name !== after) yield this.#info(item);
      }
    }
  }

  async listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    const folders: string[] = [];
    const query = { fields: "kind,nextPageToken,prefixes", delimiter: "/" };
    for await (const { prefixes = [] } of this.#pages(prefix, query, options)) {
      folders.push(...prefixes.map((name) => this.#keyOf(name)));
    }
    return folders;
  }

  async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    throwIfAborted(options.signal, "delete object");
    const refusals = new Map<string, PgarkError>();
    await deleteSingly(keys, { ...options, refusals, deleteOne: (key, signal) => this.#deleteOne(key, signal) });
    throwUndeleted(refusals);
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  /** For `GcsUpload`. Throws `exists` when the name is taken and the options say that it must not be. */
  async beginSession(key: string, token: string, options: PutOptions & { signal: AbortSignal }): Promise<GcsSession> {
    const about = { client: this.#client, key, headers: this.#encryption, signal: options.signal };
    return GcsSession.begin(about, this.#writeQuery(options), this.#metadata(key, token));
  }

  /**
   * The end of a write that failed. When the object exists because this very write made it and only the answer was lost, all
   * is well; else `problem` is thrown.
   */
  async settle(problem: PgarkError, key: string, token: string, options: SignalOption): Promise<void> {
    let owner: string | undefined;
    try {
      owner = (await this.#look(key, options)).metadata?.[tokenName];
    } catch (error) {
      if (!isPgarkError(error, "not-found")) throw error;
      // A condition failed, but not that the name be free: an organisation's policy is reported so.
      if (problem.code !== "exists") throw problem;
      const { message, operation, facts } = problem;
      throw new PgarkError("refused", message, { operation, object: key, facts, cause: problem });
    }
    if (owner === token) return;
    if (problem.code === "exists") throw problem;
    const { operation } = problem;
    throw new PgarkError("exists", "the object exists already", { operation, object: key, cause: problem });
  }

  /** The store has compared checksums itself; where one does not, the wrong object goes and the write has failed. */
  async checkStored(key: string, answer: HttpAnswer, sent: Sent): Promise<void> {
    const stored = objectResource(answer, "write object", key);
    const isSame = stored.crc32c === undefined || stored.crc32c === crcText(sent.crc);
    if (this.#keyOf(stored.name) === key && Number(stored.size) === sent.size && isSame) return;
    const query = stored.generation === undefined ? {} : { ifGenerationMatch: stored.generation };
    const request = {
      operation: "delete object",
      key,
      method: "DELETE",
      url: this.#client.objectUrl(key, query),
    } as const;
    await this.#client.send(request).catch(() => undefined);
    const problem = "what the store took is not what was sent";
    throw new PgarkError("corrupt", problem, { operation: "write object", object: key });
  }

  #metadata(key: string, token: string): Readonly<Record<string, unknown>> {
    const { url, storageClass, lock } = this.#client.settings;
    const until = new Date(this.#client.surroundings.now().getTime() + (lock?.days ?? 0) * 86_400_000);
    return {
      name: url.prefix + key,
      contentType: "application/octet-stream",
      metadata: { [tokenName]: token },
      ...(storageClass === undefined ? {} : { storageClass }),
      ...(lock === undefined ? {} : { retention: { mode: lock.mode, retainUntilTime: until.toISOString() } }),
    };
  }

  #writeQuery({ ifAbsent }: PutOptions): Readonly<Record<string, string>> {
    const { kmsKeyName } = this.#client.settings;
    return {
      ...(ifAbsent ? { ifGenerationMatch: "0" } : {}),
      ...(kmsKeyName === undefined ? {} : { kmsKeyName }),
    };
  }

  async #look(key: string, options: SignalOption): Promise<ObjectResource> {
    throwIfAborted(options.signal, "look up object");
    const query = { fields: "name,size,timeCreated,metadata" };
    const answer = await this.#client.retry(options.signal, () =>
      this.#ask("look up object", key, query, options, this.#encryption),
    );
    return objectResource(answer, "look up object", key);
  }

  /** Asks for an object. `not-found` only where the bucket is there and the object is not. */
  async #ask(
    operation: string,
    key: string,
    query: Readonly<Record<string, string>>,
    { signal }: SignalOption,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    const url = this.#client.objectUrl(key, query);
    const expected = [404, 416];
    const answer = await this.#client.send({ operation, key, method: "GET", url, headers, signal, expected });
    if (answer.status === 404) throw await this.#missing(operation, key, answer, signal);
    return answer;
  }

  async #missing(operation: string, key: string, answer: HttpAnswer, signal: AbortSignal | undefined) {
    const { bucket } = this.#client.settings.url;
    if (!namesTheObject(answer)) {
      const url = this.#client.objectUrl(undefined, { maxResults: "1", fields: "nextPageToken" });
      const bucketAnswer = await this.#client.send({ operation, key, method: "GET", url, signal, expected: [404] });
      if (bucketAnswer.status === 404) return noSuchBucket(operation, bucket);
    }
    return answerError(operation, key, answer);
  }

  async #deleteOne(key: string, signal: AbortSignal): Promise<void> {
    const url = this.#client.objectUrl(key);
    const operation = "delete object";
    await this.#client.retry(signal, async () => {
      const answer = await this.#client.send({ operation, key, method: "DELETE", url, signal, expected: [404] });
      if (answer.status !== 404) return;
      const problem = await this.#missing(operation, key, answer, signal);
      if (problem.code !== "not-found") throw problem;
    });
  }

  async *#pages(
    prefix: string,
    query: Readonly<Record<string, string>>,
    { signal }: SignalOption,
  ): AsyncIterable<ObjectPage> {
    const operation = "list objects";
    const shared = { ...query, prefix: this.#client.settings.url.prefix + prefix, maxResults: pageSize };
    let pageToken: string | undefined;
    do {
      const url = this.#client.objectUrl(undefined, { ...shared, ...(pageToken === undefined ? {} : { pageToken }) });
      const page = await this.#client.retry(signal, async () => {
        const request = { operation, key: prefix, method: "GET", url, signal, expected: [404] } as const;
        const answer = await this.#client.send(request);
        if (answer.status === 404) throw noSuchBucket(operation, this.#client.settings.url.bucket);
        return objectPage(answer, operation, prefix);
      });
      yield page;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined && pageToken !== "");
  }

  #info({ name, size, timeCreated }: ObjectResource): ObjectInfo {
    return { key: this.#keyOf(name), size: Number(size), modified: new Date(timeCreated) };
  }

  #keyOf(name: string): string {
    return name.slice(this.#client.settings.url.prefix.length);
  }
}
