import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { S3Client } from "@aws-sdk/client-s3";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type { PutOptions, Upload } from "../../object-store.ts";
import { abortable } from "./s3-client.ts";
import { s3Error } from "./s3-errors.ts";
import type { S3Store } from "./s3-store.ts";

export interface S3UploadOptions {
  readonly store: S3Store;
  readonly client: S3Client;
  readonly key: string;
  readonly options: PutOptions;
  readonly token: string;
}

/** A multipart upload, begun with its first full part; what fits in less than one part is a plain put. */
export class S3Upload implements Upload {
  readonly #about: S3UploadOptions;
  readonly #etags: string[] = [];
  #only: Uint8Array | undefined;
  #id: Promise<string> | undefined;

  constructor(about: S3UploadOptions) {
    this.#about = about;
  }

  async part(index: number, body: Uint8Array): Promise<void> {
    const { store, client, key, token, options } = this.#about;
    throwIfAborted(options.signal, "write object");
    if (index === 0 && body.length < store.capabilities.partSize) {
      this.#only = Uint8Array.from(body); // the caller may reuse its buffer
      return;
    }
    const { Bucket, Key, ...fields } = store.writeFields(key, token);
    this.#id ??= this.#begin();
    try {
      const answer = await client.send(
        new UploadPartCommand({
          Bucket,
          Key,
          UploadId: await this.#id,
          PartNumber: index + 1,
          Body: body,
          ContentLength: body.length,
          ...customerKey(fields),
        }),
        abortable(options.signal),
      );
      this.#etags[index] = answer.ETag ?? "";
    } catch (error) {
      throw s3Error("write part", key, error);
    }
  }

  async complete(): Promise<void> {
    const { store, client, key, token, options } = this.#about;
    if (this.#id === undefined) {
      await store.put(key, this.#only ?? new Uint8Array(), options);
      return;
    }
    const { Bucket, Key, ...fields } = store.writeFields(key, token);
    const Parts = Array.from(this.#etags, (ETag, index) => ({ ETag, PartNumber: index + 1 }));
    const conditional = options.ifAbsent && store.capabilities.conditionalCreate;
    if (options.ifAbsent) await this.#refuseExisting();
    try {
      await client.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key,
          UploadId: await this.#id,
          MultipartUpload: { Parts },
          ...customerKey(fields),
          ...(conditional ? { IfNoneMatch: "*" } : {}),
        }),
        abortable(options.signal),
      );
    } catch (error) {
      await store.settleExists(asExists(s3Error("complete object", key, error), error, key), key, token, options);
    }
  }

  async abort(): Promise<void> {
    this.#only = undefined;
    const id = await this.#id?.catch(() => undefined);
    if (id === undefined) return;
    const { client, store, key, token } = this.#about;
    const { Bucket, Key } = store.writeFields(key, token);
    // The parts cost money until they are gone; when even this fails, the bucket's lifecycle rule is left to it.
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id })).catch(() => undefined);
  }

  /** Some stores (Ceph before 20) ignore the condition on completion, so it is looked up as well. */
  async #refuseExisting(): Promise<void> {
    const { store, key, options } = this.#about;
    try {
      await store.head(key, options);
    } catch (error) {
      if (isPgarkError(error, "not-found")) return;
      throw error;
    }
    throw new PgarkError("exists", "the object exists already", { operation: "complete object", object: key });
  }

  async #begin(): Promise<string> {
    const { store, client, key, token, options } = this.#about;
    try {
      const command = new CreateMultipartUploadCommand(store.writeFields(key, token));
      const answer = await client.send(command, abortable(options.signal));
      if (answer.UploadId === undefined)
        throw new PgarkError("unavailable", "the store gave no upload id", { operation: "begin object", object: key });
      return answer.UploadId;
    } catch (error) {
      throw s3Error("begin object", key, error);
    }
  }
}

/** "No such upload" after a retry means that an earlier try did complete it; who holds the name then tells. */
function asExists(typed: unknown, error: unknown, key: string): unknown {
  if (!(error instanceof Error) || error.name !== "NoSuchUpload") return typed;
  return new PgarkError("exists", "the upload is gone", { operation: "complete object", object: key, cause: error });
}

function customerKey(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).filter(([name]) => name.startsWith("SSECustomer") || name === "RequestPayer"),
  );
}
