import { createHash, randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import type { PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import { retry } from "../../../retry.ts";
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
import { readBody } from "./s3-body.ts";
import { abortable, createS3Client, readCustomerKey } from "./s3-client.ts";
import { s3Error } from "./s3-errors.ts";
import type { S3Settings } from "./s3-settings.ts";
import { parseS3Url } from "./s3-settings.ts";
import { S3Upload } from "./s3-upload.ts";

/** Where speed peaks; 10,000 of them are 80 GB, and 1,000 (the limit of some clones) 8 GB. */
const partSize = 8 * 1024 * 1024;
const deleteBatch = 1000;
/** What metadata every object carries: who wrote it, so that a writer whose answer was lost knows its own work. */
const tokenName = "pgark-write";

/** Opens an `s3://` repository. */
export function openS3Store(url: string, environment: Readonly<Record<string, string | undefined>>): S3Store {
  const settings = parseS3Url(url);
  return new S3Store(settings, createS3Client(settings, environment));
}

/** Objects in Amazon S3, or in a store that speaks its protocol. */
export class S3Store implements ObjectStore {
  readonly url: string;
  readonly capabilities: StoreCapabilities;
  readonly #settings: S3Settings;
  readonly #client: S3Client;
  readonly #readHeaders: S3ReadFields;

  constructor(settings: S3Settings, client: S3Client) {
    this.url = `s3://${settings.url.bucket}/${settings.url.prefix}`.replace(/\/$/, "");
    this.capabilities = { conditionalCreate: settings.conditionalCreate, partSize };
    this.#settings = settings;
    this.#client = client;
    this.#readHeaders = readFields(settings);
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    throwIfAborted(options.signal, "write object");
    await this.#refuseExisting(key, options);
    const token = randomUUID();
    try {
      await this.#client.send(
        new PutObjectCommand({
          ...this.writeFields(key, token),
          Body: body,
          ContentLength: body.length,
          ...(options.ifAbsent && this.capabilities.conditionalCreate ? { IfNoneMatch: "*" } : {}),
        }),
        abortable(options.signal),
      );
    } catch (error) {
      await this.settleExists(s3Error("write object", key, error), key, token, options);
    }
  }

  async beginUpload(key: string, options: PutOptions): Promise<Upload> {
    throwIfAborted(options.signal, "write object");
    await this.#refuseExisting(key, options);
    return new S3Upload({ store: this, client: this.#client, key, options, token: randomUUID() });
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    throwIfAborted(options.signal, "read object");
    if (options.range?.length === 0) return new Uint8Array();
    return this.#retry(options.signal, () => this.#getOnce(key, options));
  }

  async #getOnce(key: string, options: GetOptions): Promise<Uint8Array> {
    const { range, signal } = options;
    const { url } = this.#settings;
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({
          Bucket: url.bucket,
          Key: url.prefix + key,
          ...this.#readHeaders,
          ...(range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` }),
        }),
        abortable(signal),
      );
      return await readBody(answer.Body as Readable, answer.ContentLength ?? 0, signal);
    } catch (error) {
      // A range that begins past the end has nothing in it; that is no failure.
      if (range !== undefined && error instanceof Error && error.name === "InvalidRange") return new Uint8Array();
      throw s3Error("read object", key, error);
    }
  }

  async head(key: string, options: SignalOption = {}): Promise<ObjectInfo> {
    const answer = await this.#head(key, options);
    return { key, size: answer.ContentLength ?? 0, modified: answer.LastModified ?? new Date(0) };
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const { url } = this.#settings;
    let token: string | undefined;
    do {
      const page = await this.#page(prefix, options, token);
      for (const object of page.Contents ?? []) {
        if (object.Key === undefined) continue;
        const key = object.Key.slice(url.prefix.length);
        yield { key, size: object.Size ?? 0, modified: object.LastModified ?? new Date(0) };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async listFolders(prefix: string, options: SignalOption = {}): Promise<readonly string[]> {
    const { url } = this.#settings;
    const folders: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.#page(prefix, options, token, "/");
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        if (Prefix !== undefined) folders.push(Prefix.slice(url.prefix.length));
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return folders;
  }

  async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    const { url } = this.#settings;
    for (let index = 0; index < keys.length; index += deleteBatch) {
      throwIfAborted(options.signal, "delete object");
      const batch = keys.slice(index, index + deleteBatch);
      const Delete = { Objects: batch.map((key) => ({ Key: url.prefix + key })), Quiet: true };
      const answer = await this.#client
        .send(
          new DeleteObjectsCommand({ Bucket: url.bucket, Delete, ...payer(this.#settings) }),
          abortable(options.signal),
        )
        .catch((error: unknown) => {
          throw s3Error("delete object", batch[0] ?? "", error);
        });
      // The service answers 200 and says inside which objects it did not delete.
      const failed = answer.Errors?.find(({ Code }) => Code !== "NoSuchKey");
      if (failed === undefined) continue;
      const error = Object.assign(new Error(failed.Message ?? ""), { name: failed.Code ?? "Error" });
      throw s3Error("delete object", (failed.Key ?? "").slice(url.prefix.length), error);
    }
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  /** What every request that writes an object carries; for the upload too. */
  writeFields(key: string, token: string): S3WriteFields {
    const { url, storageClass, encryption, kmsKeyId, tags, lockMode, lockDays } = this.#settings;
    const until = new Date(Date.now() + (lockDays ?? 0) * 86_400_000);
    return {
      Bucket: url.bucket,
      Key: url.prefix + key,
      Metadata: { [tokenName]: token },
      ...this.#readHeaders,
      ...(storageClass === undefined ? {} : { StorageClass: storageClass as S3WriteFields["StorageClass"] }),
      ...(encryption === undefined ? {} : { ServerSideEncryption: encryption }),
      ...(kmsKeyId === undefined ? {} : { SSEKMSKeyId: kmsKeyId }),
      ...(tags === undefined ? {} : { Tagging: tags }),
      ...(lockMode === undefined ? {} : { ObjectLockMode: lockMode, ObjectLockRetainUntilDate: until }),
    };
  }

  /**
   * The end of a write that failed. When the object exists because this very write made it and only the answer was lost, all
   * is well; else the error is thrown.
   */
  async settleExists(error: unknown, key: string, token: string, options: SignalOption): Promise<void> {
    if (isPgarkError(error, "exists") && (await this.#tokenOf(key, options)) === token) return;
    throw error;
  }

  async #tokenOf(key: string, options: SignalOption): Promise<string | undefined> {
    return (await this.#head(key, options)).Metadata?.[tokenName];
  }

  /** Stores that do not keep the condition get a look before the write; it narrows the gap but cannot close it. */
  async #refuseExisting(key: string, options: PutOptions): Promise<void> {
    if (!options.ifAbsent || this.capabilities.conditionalCreate) return;
    try {
      await this.#head(key, options);
    } catch (error) {
      if (isPgarkError(error, "not-found")) return;
      throw error;
    }
    throw new PgarkError("exists", "the object exists already", { operation: "write object", object: key });
  }

  async #head(key: string, options: SignalOption) {
    throwIfAborted(options.signal, "look up object");
    const { url } = this.#settings;
    try {
      const command = new HeadObjectCommand({ Bucket: url.bucket, Key: url.prefix + key, ...this.#readHeaders });
      return await this.#client.send(command, abortable(options.signal));
    } catch (error) {
      throw s3Error("look up object", key, error);
    }
  }

  async #page(prefix: string, options: ListOptions, token: string | undefined, delimiter?: string) {
    throwIfAborted(options.signal, "list objects");
    const { url } = this.#settings;
    const command = new ListObjectsV2Command({
      Bucket: url.bucket,
      Prefix: url.prefix + prefix,
      ...payer(this.#settings),
      ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
      ...(options.startAfter === undefined ? {} : { StartAfter: url.prefix + options.startAfter }),
    });
    try {
      return await this.#client.send(command, abortable(options.signal));
    } catch (error) {
      throw s3Error("list objects", prefix, error);
    }
  }

  /** For what the SDK does not retry: a body that broke off on its way here. */
  async #retry<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return retry(work, {
      attempts: 5,
      firstDelayMs: 200,
      maxDelayMs: 5000,
      random: Math.random,
      sleep: (milliseconds, abort) => sleep(milliseconds, undefined, { signal: abort }),
      signal,
    });
  }
}

type S3WriteFields = Omit<PutObjectCommandInput, "Body">;

type S3ReadFields = Pick<
  PutObjectCommandInput,
  "RequestPayer" | "SSECustomerAlgorithm" | "SSECustomerKey" | "SSECustomerKeyMD5"
>;

function payer(settings: S3Settings): { RequestPayer?: "requester" } {
  return settings.requesterPays ? { RequestPayer: "requester" } : {};
}

function readFields(settings: S3Settings): S3ReadFields {
  if (settings.customerKeyFile === undefined) return payer(settings);
  const key = readCustomerKey(settings.customerKeyFile);
  return {
    ...payer(settings),
    SSECustomerAlgorithm: "AES256",
    SSECustomerKey: key.toString("base64"),
    SSECustomerKeyMD5: createHash("md5").update(key).digest("base64"),
  };
}
