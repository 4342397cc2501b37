import { createHash } from "node:crypto";
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { readCustomerKey } from "../../customer-key.ts";
import type { S3Settings } from "./s3-settings.ts";

/** What metadata every object carries: who wrote it, so that a writer whose answer was lost knows its own work. */
export const tokenName = "pgark-write";

export type S3WriteFields = Omit<PutObjectCommandInput, "Body">;

/** Who pays, and the key of SSE-C. */
export type S3ReadFields = Pick<
  PutObjectCommandInput,
  "RequestPayer" | "SSECustomerAlgorithm" | "SSECustomerKey" | "SSECustomerKeyMD5"
>;

export interface Retention {
  readonly Mode: "GOVERNANCE" | "COMPLIANCE";
  readonly RetainUntilDate: Date;
}

/** What each kind of request must carry, by the repository's settings. */
export class S3Fields {
  readonly #settings: S3Settings;
  /** for requests that neither read nor write the bytes of an object */
  readonly any: Pick<S3ReadFields, "RequestPayer">;
  /** for requests that read an object, and for the parts of one */
  readonly read: S3ReadFields;

  /** Reads the customer key, if there is one. */
  constructor(settings: S3Settings) {
    this.#settings = settings;
    this.any = settings.requesterPays ? { RequestPayer: "requester" } : {};
    this.read = { ...this.any, ...customerKey(settings.customerKeyFile) };
  }

  place(key: string): { readonly Bucket: string; readonly Key: string } {
    const { url } = this.#settings;
    return { Bucket: url.bucket, Key: url.prefix + key };
  }

  /** For requests that write an object or begin one. */
  write(key: string, token: string, now: number): S3WriteFields {
    const { storageClass, encryption, kmsKeyId, tags } = this.#settings;
    const retention = this.retention(now);
    return {
      ...this.place(key),
      Metadata: { [tokenName]: token },
      ...this.read,
      ...(storageClass === undefined ? {} : { StorageClass: storageClass as S3WriteFields["StorageClass"] }),
      ...(encryption === undefined ? {} : { ServerSideEncryption: encryption }),
      ...(kmsKeyId === undefined ? {} : { SSEKMSKeyId: kmsKeyId }),
      ...(tags === undefined ? {} : { Tagging: tags }),
      ...(retention === undefined
        ? {}
        : { ObjectLockMode: retention.Mode, ObjectLockRetainUntilDate: retention.RetainUntilDate }),
    };
  }

  /** How long an object that is written now must stay; undefined without a lock. */
  retention(now: number): Retention | undefined {
    const { lockMode: Mode, lockDays = 0 } = this.#settings;
    return Mode === undefined ? undefined : { Mode, RetainUntilDate: new Date(now + lockDays * 86_400_000) };
  }
}

function customerKey(file: string | undefined): S3ReadFields {
  if (file === undefined) return {};
  const key = readCustomerKey(file);
  return {
    SSECustomerAlgorithm: "AES256",
    SSECustomerKey: key.toString("base64"),
    SSECustomerKeyMD5: createHash("md5").update(key).digest("base64"),
  };
}
