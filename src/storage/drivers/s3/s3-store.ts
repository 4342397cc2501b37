import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import type { HeadObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type {
  GetOptions,
  Leftovers,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignalOption,
  StoreCapabilities,
  Upload,
} from "../../object-store.ts";
import { throwUndeleted } from "../../undeleted.ts";
import { readBody } from "./s3-body.ts";
import { abortable, createS3Client } from "./s3-client.ts";
import { statusOf } from "./s3-errors.ts";
import { deleteObjects, whyVersionsStay } from "./s3-delete.ts";
import { S3Fields, tokenName } from "./s3-fields.ts";
import { s3Leftovers } from "./s3-leftovers.ts";
import { S3Caller } from "./s3-retry.ts";
import type { S3Requests } from "./s3-requests.ts";
import { parseS3Url } from "./s3-settings.ts";
import type { S3Settings } from "./s3-settings.ts";
import { defaultTuning } from "./s3-tuning.ts";
import type { S3Tuning } from "./s3-tuning.ts";
import { S3Upload } from "./s3-upload.ts";

/** Where speed peaks; 10,000 of them are 80 GB, and 1,000 (the limit of some clones) 8 GB. */
const partSize = 8 * 1024 * 1024;
const deleteBatch = 1000;

/** Opens an `s3://` repository; nothing is asked of the store yet. Throws `usage`, and what reading the named files throws. */
export function openS3Store(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
  tuning: Partial<S3Tuning> = {},
): S3Store {
  const settings = parseS3Url(url);
  const wholeTuning = { ...defaultTuning, ...tuning };
  return new S3Store(settings, createS3Client(settings, environment, wholeTuning), wholeTuning);
}

/** Objects in Amazon S3, or in a store that speaks its protocol. */
export class S3Store implements ObjectStore {
  readonly url: string;
  readonly capabilities: StoreCapabilities;
  readonly #settings: S3Settings;
  readonly #client: S3Client;
  readonly #caller: S3Caller;
  readonly #fields: S3Fields;
  readonly #silenceMs: number;
  readonly #about: S3Requests;
  readonly leftovers: Leftovers;
  #bucketSeen = false;

  constructor(settings: S3Settings, client: S3Client, tuning: S3Tuning) {
    this.url = `s3://${settings.url.bucket}/${settings.url.prefix}`.replace(/\/$/, "");
    this.capabilities = { conditionalCreate: settings.conditionalCreate, partSize };
    this.#settings = settings;
    this.#client = client;
    this.#caller = new S3Caller(client, tuning);
    this.#fields = new S3Fields(settings);
    this.#silenceMs = tuning.silenceMs;
    this.#about = { client, caller: this.#caller, fields: this.#fields, settings };
    this.leftovers = s3Leftovers(this.#about);
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    const { signal } = options;
    throwIfAborted(signal, "write object");
    if (options.ifAbsent && !this.capabilities.conditionalCreate) await this.refuseExisting(key, options);
    const token = randomUUID();
    const command = new PutObjectCommand({
      ...this.#fields.write(key, token, Date.now()),
      Body: body,
      ContentLength: body.length,
      ...(options.ifAbsent && this.capabilities.conditionalCreate ? { IfNoneMatch: "*" } : {}),
    });
    try {
      await this.#caller.call({ operation: "write object", key, signal }, () =>
        this.#client.send(command, abortable(signal)),
      );
    } catch (error) {
      if (isPgarkError(error, "exists") && (await this.wroteIt(key, token, options))) return;
      throw isPgarkError(error, "not-found") ? noConditions(key, error) : error;
    }
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    if (options.ifAbsent && !this.capabilities.conditionalCreate) await this.refuseExisting(key, options);
    const about = { store: this, client: this.#client, caller: this.#caller, fields: this.#fields };
    return new S3Upload({ ...about, key, options, token: randomUUID() });
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal } = options;
    throwIfAborted(signal, "read object");
    if (range?.length === 0) {
      await this.head(key, { signal }); // nothing is read, but what is not there is not there
      return new Uint8Array();
    }
    return this.#caller.call({ operation: "read object", key, signal }, () => this.#get(key, options));
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    const { ContentLength = 0, LastModified } = await this.#head(key, options);
    return { key, size: ContentLength, modified: LastModified ?? new Date(0) };
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    for await (const { Contents = [] } of this.#pages(prefix, options)) {
      for (const { Key, Size = 0, LastModified } of Contents) {
        if (Key === undefined) continue;
        yield { key: Key.slice(this.#settings.url.prefix.length), size: Size, modified: wholeSeconds(LastModified) };
      }
    }
  }

  async listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    const folders: string[] = [];
    for await (const { CommonPrefixes = [] } of this.#pages(prefix, options, "/")) {
      for (const { Prefix } of CommonPrefixes) {
        if (Prefix !== undefined) folders.push(Prefix.slice(this.#settings.url.prefix.length));
      }
    }
    return folders;
  }

  async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    throwIfAborted(options.signal, "delete object");
    const refusals = new Map<string, PgarkError>();
    for (let index = 0; index < keys.length; index += deleteBatch) {
      const batch = keys.slice(index, index + deleteBatch);
      await deleteObjects(this.#about, batch, { ...options, refusals });
    }
    throwUndeleted(refusals);
  }

  whyDeletedStays(options: SignalOption = {}): Promise<string | undefined> {
    return whyVersionsStay(this.#about, options);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  /** Whether the object under `key` is what the writer with `token` wrote: its answer was lost, or came only to a second try. */
  async wroteIt(key: string, token: string, options: SignalOption): Promise<boolean> {
    try {
      return (await this.#head(key, options)).Metadata?.[tokenName] === token;
    } catch (error) {
      if (isPgarkError(error, "not-found")) return false;
      throw error;
    }
  }

  /** For stores that do not keep the condition: a look before the write. It narrows the gap but cannot close it. */
  async refuseExisting(key: string, options: SignalOption): Promise<void> {
    try {
      await this.#head(key, options);
    } catch (error) {
      if (isPgarkError(error, "not-found")) return;
      throw error;
    }
    throw new PgarkError("exists", "the object exists already", { operation: "write object", object: key });
  }

  async #get(key: string, { range, into, signal }: GetOptions): Promise<Uint8Array> {
    const Range = range === undefined ? undefined : `bytes=${range.offset}-${range.offset + range.length - 1}`;
    const command = new GetObjectCommand({
      ...this.#fields.place(key),
      ...this.#fields.read,
      ...(Range === undefined ? {} : { Range }),
    });
    try {
      const { Body, ContentLength } = await this.#client.send(command, abortable(signal));
      if (range !== undefined && ContentLength !== undefined && ContentLength > range.length) {
        (Body as Readable).destroy();
        throw new PgarkError("refused", "the store gave the whole object when asked for a part of it", {
          operation: "read object",
          object: key,
          hint: "pgark cannot work with a store, or through a proxy, that ignores ranges",
        });
      }
      return await readBody(Body as Readable, { size: ContentLength, into, silenceMs: this.#silenceMs, signal });
    } catch (error) {
      // A range that begins past the end has nothing in it; that is no failure.
      if (range !== undefined && statusOf(error) === 416) return new Uint8Array();
      throw error;
    }
  }

  async #head(key: string, { signal }: SignalOption): Promise<HeadObjectCommandOutput> {
    throwIfAborted(signal, "look up object");
    const command = new HeadObjectCommand({ ...this.#fields.place(key), ...this.#fields.read });
    return this.#caller.call({ operation: "look up object", key, signal }, async () => {
      try {
        const answer = await this.#client.send(command, abortable(signal));
        this.#bucketSeen = true;
        return answer;
      } catch (error) {
        const status = statusOf(error);
        if (status === 404 && this.#bucketSeen) throw notFound(key, error);
        if (status === undefined || ![400, 403, 404].includes(status)) throw error;
        return await this.#explain(key, error, signal);
      }
    });
  }

  /**
   * The answer to HEAD has no text, so a missing object looks like a missing bucket, and an expired token like anything else.
   * Reading the object's first byte fails for the same reason and says which.
   */
  async #explain(key: string, error: unknown, signal: AbortSignal | undefined): Promise<never> {
    try {
      await this.#get(key, { range: { offset: 0, length: 1 }, signal });
    } catch (reason) {
      if (reason instanceof Error && reason.name === "NoSuchKey") this.#bucketSeen = true;
      throw reason;
    }
    throw new PgarkError("unavailable", "the object can be read but not be looked up", {
      operation: "look up object",
      object: key,
      cause: error,
    });
  }

  async *#pages(prefix: string, options: ListOptions, delimiter?: string) {
    const { bucket, prefix: root } = this.#settings.url;
    const { signal, startAfter } = options;
    let token: string | undefined;
    do {
      throwIfAborted(signal, "list objects");
      const command = new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: root + prefix,
        ...this.#fields.any,
        ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
        ...(startAfter === undefined ? {} : { StartAfter: root + startAfter }),
      });
      const page = await this.#caller.call({ operation: "list objects", key: prefix, signal }, () =>
        this.#client.send(command, abortable(signal)),
      );
      yield page;
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }
}

function notFound(key: string, cause: unknown): PgarkError {
  return new PgarkError("not-found", "the object does not exist", { operation: "look up object", object: key, cause });
}

/** Some old clones look for the object that must not be there, and miss it. */
function noConditions(key: string, cause: unknown): PgarkError {
  return new PgarkError("usage", "the store does not understand a write that must not replace anything", {
    operation: "write object",
    object: key,
    cause,
    hint: "add conditional-create=no to the settings in the repository's URL; what follows from it is in docs/stores.md",
  });
}

/** HEAD tells times in whole seconds, some stores' lists finer. */
function wholeSeconds(time: Date | undefined): Date {
  return new Date(Math.floor((time?.getTime() ?? 0) / 1000) * 1000);
}
