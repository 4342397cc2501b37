import type { S3Client } from "@aws-sdk/client-s3";
import type { S3Fields } from "./s3-fields.ts";
import type { S3Caller } from "./s3-retry.ts";
import type { S3Settings } from "./s3-settings.ts";

/** What every request to the store is made with. */
export interface S3Requests {
  readonly client: S3Client;
  readonly caller: S3Caller;
  readonly fields: S3Fields;
  readonly settings: S3Settings;
}
