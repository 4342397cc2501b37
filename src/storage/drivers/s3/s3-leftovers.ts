import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import type { ListMultipartUploadsCommandOutput } from "@aws-sdk/client-s3";
import { isPgarkError } from "../../../errors.ts";
import type { Leftover, Leftovers, SignalOption } from "../../object-store.ts";
import { abortable } from "./s3-client.ts";
import type { S3Requests } from "./s3-requests.ts";

/** Multipart uploads that were begun and neither completed nor aborted; those under way now are among them. */
export function s3Leftovers(requests: S3Requests): Leftovers {
  return {
    list: (prefix, options = {}) => listUploads(requests, prefix, options),
    remove: (leftover, options = {}) => abortUpload(requests, leftover, options),
  };
}

async function* listUploads(
  { client, caller, fields, settings }: S3Requests,
  prefix: string,
  { signal }: SignalOption,
): AsyncIterable<Leftover> {
  const { bucket, prefix: root } = settings.url;
  let page: ListMultipartUploadsCommandOutput | undefined;
  do {
    const command = new ListMultipartUploadsCommand({
      Bucket: bucket,
      Prefix: root + prefix,
      ...fields.any,
      ...(page === undefined ? {} : { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }),
    });
    page = await caller.call({ operation: "list uploads", key: prefix, signal }, () =>
      client.send(command, abortable(signal)),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
      yield { key: Key.slice(root.length), id: UploadId, modified: Initiated };
    }
  } while (page.IsTruncated === true && page.NextKeyMarker !== undefined);
}

async function abortUpload(
  { client, caller, fields }: S3Requests,
  { key, id }: Leftover,
  { signal }: SignalOption,
): Promise<void> {
  const command = new AbortMultipartUploadCommand({ ...fields.place(key), ...fields.any, UploadId: id });
  try {
    await caller.call({ operation: "abort upload", key, signal }, () => client.send(command, abortable(signal)));
  } catch (error) {
    const isGone = isPgarkError(error) && error.cause instanceof Error && error.cause.name === "NoSuchUpload";
    if (!isGone) throw error;
  }
}
