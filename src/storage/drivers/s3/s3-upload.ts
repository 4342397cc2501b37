import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectRetentionCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { S3Client } from "@aws-sdk/client-s3";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type { PutOptions, Upload } from "../../object-store.ts";
import { abortable } from "./s3-client.ts";
import type { S3Fields } from "./s3-fields.ts";
import type { S3Caller } from "./s3-retry.ts";
import type { S3Store } from "./s3-store.ts";

export interface S3UploadOptions {
  readonly store: S3Store;
  readonly client: S3Client;
  readonly caller: S3Caller;
  readonly fields: S3Fields;
  readonly key: string;
  readonly options: PutOptions;
  readonly token: string;
}

/** A multipart upload, begun with its first full part; what fits in less than one part is a plain put. */
export class S3Upload implements Upload {
  readonly #about: S3UploadOptions;
  readonly #etags: string[] = [];
  readonly #sending = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  /** ends parts on their way, when the caller says so or the upload is given up */
  readonly #signal: AbortSignal;
  #only: Uint8Array | undefined;
  #id: Promise<string> | undefined;
  /** an answer that gave an upload's id was lost: there may be uploads that nobody knows */
  #beganTwice = false;

  constructor(about: S3UploadOptions) {
    this.#about = about;
    const { signal } = about.options;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  async part(index: number, body: Uint8Array): Promise<void> {
    throwIfAborted(this.#signal, "write object");
    if (index === 0 && body.length < this.#about.store.capabilities.partSize) {
      this.#only = Uint8Array.from(body); // the caller may reuse its buffer
      return;
    }
    const sending = this.#send(index, body);
    this.#sending.add(sending);
    try {
      await sending;
    } finally {
      this.#sending.delete(sending);
    }
  }

  async complete(): Promise<void> {
    const { store, key, token, options } = this.#about;
    throwIfAborted(this.#signal, "write object");
    if (this.#id === undefined) {
      await store.put(key, this.#only ?? new Uint8Array(), options);
      return;
    }
    // Some stores (Ceph before 20) ignore the condition on completion, so it is looked up as well.
    if (options.ifAbsent) await store.refuseExisting(key, options);
    try {
      await this.#complete(await this.#id);
    } catch (error) {
      if (!isNoSuchUpload(error) && !isPgarkError(error, "exists")) throw error;
      // An earlier try, whose answer was lost, may have completed it: who holds the name tells.
      if (!(await store.wroteIt(key, token, options))) throw error;
    }
    await this.#lock();
    if (this.#beganTwice) await this.#abortUnknown().catch(() => undefined);
  }

  async abort(): Promise<void> {
    this.#only = undefined;
    this.#stop.abort();
    const id = await this.#id?.catch(() => undefined);
    // A part that arrives after the abort would stay, and cost.
    await Promise.allSettled(this.#sending);
    // When even this fails, the bucket's lifecycle rule is left to clear away (docs/stores.md).
    if (id !== undefined) await this.#abort(id).catch(() => undefined);
    if (this.#beganTwice) await this.#abortUnknown().catch(() => undefined);
  }

  async #send(index: number, body: Uint8Array): Promise<void> {
    const { client, caller, fields, key } = this.#about;
    this.#id ??= this.#begin();
    const UploadId = await this.#id;
    const command = new UploadPartCommand({
      ...fields.place(key),
      ...fields.read,
      UploadId,
      PartNumber: index + 1,
      Body: body,
      ContentLength: body.length,
    });
    const signal = this.#signal;
    const { ETag } = await caller.call({ operation: "write part", key, signal }, () =>
      client.send(command, abortable(signal)),
    );
    this.#etags[index] = ETag ?? "";
  }

  async #begin(): Promise<string> {
    const { client, caller, fields, key, token } = this.#about;
    const command = new CreateMultipartUploadCommand(fields.write(key, token, Date.now()));
    const signal = this.#signal;
    const onRetry = (): void => {
      this.#beganTwice = true;
    };
    const { UploadId } = await caller.call({ operation: "begin object", key, signal, onRetry }, () =>
      client.send(command, abortable(signal)),
    );
    if (UploadId !== undefined) return UploadId;
    throw new PgarkError("unavailable", "the store gave no upload id", { operation: "begin object", object: key });
  }

  async #complete(UploadId: string): Promise<void> {
    const { store, client, caller, fields, key, options } = this.#about;
    const Parts = Array.from(this.#etags, (ETag, index) => ({ ETag, PartNumber: index + 1 }));
    const command = new CompleteMultipartUploadCommand({
      ...fields.place(key),
      ...fields.read,
      UploadId,
      MultipartUpload: { Parts },
      ...(options.ifAbsent && store.capabilities.conditionalCreate ? { IfNoneMatch: "*" } : {}),
    });
    const signal = this.#signal;
    await caller.call({ operation: "complete object", key, signal }, () => client.send(command, abortable(signal)));
  }

  /** Some stores (Ceph) forget, for objects of several parts, that they were to be locked: no lock is worse than a late one. */
  async #lock(): Promise<void> {
    const { client, caller, fields, key } = this.#about;
    const Retention = fields.retention(Date.now());
    if (Retention === undefined) return;
    const call = { operation: "lock object", key, signal: this.#signal };
    const place = fields.place(key);
    const head = new HeadObjectCommand({ ...place, ...fields.read });
    const { ObjectLockMode } = await caller.call(call, () => client.send(head, abortable(this.#signal)));
    if (ObjectLockMode !== undefined) return;
    const command = new PutObjectRetentionCommand({ ...place, ...fields.any, Retention });
    await caller.call(call, () => client.send(command, abortable(this.#signal)));
  }

  /** Not under the caller's signal: what was stopped is to be cleared away all the same. */
  async #abort(UploadId: string): Promise<void> {
    const { client, caller, fields, key } = this.#about;
    const command = new AbortMultipartUploadCommand({ ...fields.place(key), ...fields.any, UploadId });
    await caller.call({ operation: "abort object", key, signal: undefined }, () => client.send(command));
  }

  /**
   * Aborts what other tries to begin have left under this key. Were one of them another writer's, that writer would fail and
   * say so; it could not have had the name anyway.
   */
  async #abortUnknown(): Promise<void> {
    const { client, caller, fields, key } = this.#about;
    const { Bucket, Key } = fields.place(key);
    const command = new ListMultipartUploadsCommand({ Bucket, Prefix: Key, ...fields.any });
    const { Uploads = [] } = await caller.call({ operation: "abort object", key, signal: undefined }, () =>
      client.send(command),
    );
    for (const { Key: found, UploadId } of Uploads) {
      if (found === Key && UploadId !== undefined) await this.#abort(UploadId);
    }
  }
}

function isNoSuchUpload(error: unknown): boolean {
  return isPgarkError(error) && error.cause instanceof Error && error.cause.name === "NoSuchUpload";
}
