import { DeleteObjectsCommand, GetBucketVersioningCommand } from "@aws-sdk/client-s3";
import type { DeleteObjectsCommandOutput } from "@aws-sdk/client-s3";
import { isPgarkError } from "../../../errors.ts";
import type { PgarkError } from "../../../errors.ts";
import type { SignalOption } from "../../object-store.ts";
import { isRefusal } from "../../undeleted.ts";
import { abortable } from "./s3-client.ts";
import { s3Error } from "./s3-errors.ts";
import type { S3Requests } from "./s3-requests.ts";

interface DeleteObjectsOptions extends SignalOption {
  /** takes the keys that the store refuses to delete, with its word on each */
  readonly refusals: Map<string, PgarkError>;
}

/** Deletes up to 1,000 objects with one request, and once more those of them for which it may help. */
export async function deleteObjects(
  { client, caller, fields, settings }: S3Requests,
  keys: readonly string[],
  { refusals, signal }: DeleteObjectsOptions,
): Promise<void> {
  const { bucket, prefix } = settings.url;
  let left = keys;
  await caller.call({ operation: "delete object", key: keys[0] ?? "", signal }, async () => {
    const Delete = { Objects: left.map((key) => ({ Key: prefix + key })), Quiet: true };
    const command = new DeleteObjectsCommand({ Bucket: bucket, Delete, ...fields.any });
    // The service answers 200 and says inside which objects it did not delete.
    const { Errors = [] } = await client.send(command, abortable(signal));
    let again: Error | undefined;
    for (const failed of Errors.filter(({ Code }) => Code !== "NoSuchKey")) {
      const { key, cause, error } = innerError(failed, prefix);
      if (isRefusal(error) && left.includes(key)) refusals.set(key, error);
      else again ??= cause;
    }
    left = left.filter((key) => !refusals.has(key));
    if (again !== undefined) throw again;
  });
}

type InnerError = NonNullable<DeleteObjectsCommandOutput["Errors"]>[number];

function innerError(failed: InnerError, prefix: string) {
  const key = failed.Key?.slice(prefix.length) ?? "";
  const cause = Object.assign(new Error(`${key}: ${failed.Message ?? failed.Code}`), {
    name: failed.Code ?? "InternalError",
  });
  return { key, cause, error: s3Error("delete object", key, cause) };
}

/** In a bucket with versions a deletion hides an object and keeps its bytes. Who may not ask is told nothing. */
export async function whyVersionsStay(
  { client, caller, fields }: S3Requests,
  { signal }: SignalOption,
): Promise<string | undefined> {
  const command = new GetBucketVersioningCommand({ Bucket: fields.place("").Bucket });
  try {
    const { Status } = await caller.call({ operation: "look up versioning", key: "", signal }, () =>
      client.send(command, abortable(signal)),
    );
    if (Status !== "Enabled") return undefined;
    return (
      "the bucket keeps versions: what is deleted is hidden, and its bytes stay until a lifecycle rule for noncurrent versions, " +
      "or the end of an object lock, lets them go"
    );
  } catch (error) {
    if (isPgarkError(error, "aborted")) throw error;
    return undefined;
  }
}
