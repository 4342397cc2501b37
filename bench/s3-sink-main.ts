/**
 * `node s3-sink-main.ts CERTIFICATE KEY [--any-client] [--latency-ms N]`: an S3 over https for benches. It keeps small objects
 * and forgets the content of those that come in parts, once their checksum has been verified. A request that costs its client
 * more than it must (a signed payload, `Expect`) or that nobody could verify is refused. With --any-client nothing is refused
 * or verified, and everything is kept. Each answer comes N milliseconds late. Prints its port.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { crc32 } from "node:zlib";

interface StoredObject {
  readonly size: number;
  /** undefined when it came in parts */
  readonly content: Buffer | undefined;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Buffer;
}

interface Upload {
  readonly sizes: number[];
  /** with --any-client */
  readonly contents: Buffer[];
  readonly metadata: Readonly<Record<string, string>>;
}

const objects = new Map<string, StoredObject>();
const uploads = new Map<string, Upload>();

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "any-client": { type: "boolean", default: false }, "latency-ms": { type: "string", default: "0" } },
});
const anyClient = values["any-client"];
const latencyMs = Number(values["latency-ms"]);
const [certificateFile = "", keyFile = ""] = positionals;
const server = createServer(
  { cert: readFileSync(certificateFile), key: readFileSync(keyFile) },
  (request, response) => {
    handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  },
);
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.on("checkContinue", (_, response) => respond(response, failure(400, "InvalidRequest", "Expect: 100-continue")));
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "https://localhost");
  const name = decodeURIComponent(pathname.slice(1));
  const isPart = searchParams.has("partNumber");
  const chunks: Buffer[] = [];
  let [size, checksum] = [0, 0];
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (!anyClient) checksum = crc32(chunk, checksum);
    if (!isPart || anyClient) chunks.push(chunk);
  }
  if (latencyMs > 0) await delay(latencyMs);
  if (request.method === "PUT" && !anyClient) {
    const complaint = complaintAbout(request, checksum);
    if (complaint !== undefined) return respond(response, complaint);
  }
  respond(
    response,
    isPart ? part(searchParams, size, chunks) : answer(request, name, searchParams, Buffer.concat(chunks)),
    request.method === "HEAD",
  );
}

function complaintAbout({ headers }: IncomingMessage, checksum: number): Answer | undefined {
  if (headers["x-amz-content-sha256"] !== "UNSIGNED-PAYLOAD") return failure(400, "InvalidRequest", "a signed payload");
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(checksum);
  if (headers["x-amz-checksum-crc32"] !== bytes.toString("base64")) return failure(400, "InvalidDigest", "no CRC32");
  return undefined;
}

function part(parameters: URLSearchParams, size: number, chunks: readonly Buffer[]): Answer {
  const upload = uploads.get(parameters.get("uploadId") ?? "");
  if (upload === undefined) return failure(404, "NoSuchUpload", "no such upload");
  const index = Number(parameters.get("partNumber")) - 1;
  upload.sizes[index] = size;
  if (anyClient) upload.contents[index] = Buffer.concat(chunks);
  return { status: 200, headers: { etag: '"part"' } };
}

function answer(request: IncomingMessage, name: string, parameters: URLSearchParams, body: Buffer): Answer {
  const uploadId = parameters.get("uploadId") ?? "";
  switch (request.method) {
    case "PUT":
      return create(request, name, { size: body.length, content: body, metadata: metadataOf(request) });
    case "POST":
      if (parameters.has("uploads")) return begin(request);
      if (parameters.has("delete")) return remove(name, body);
      return complete(request, name, uploadId);
    case "DELETE":
      uploads.delete(uploadId);
      return { status: 204 };
    default:
      return parameters.has("list-type") ? list(name, parameters) : read(request, name);
  }
}

function create(request: IncomingMessage, name: string, object: StoredObject): Answer {
  if (request.headers["if-none-match"] === "*" && objects.has(name)) {
    return failure(412, "PreconditionFailed", "it exists");
  }
  objects.set(name, object);
  return { status: 200, headers: { etag: '"object"' } };
}

function begin(request: IncomingMessage): Answer {
  const id = randomUUID();
  uploads.set(id, { sizes: [], contents: [], metadata: metadataOf(request) });
  return xml("InitiateMultipartUploadResult", `<UploadId>${id}</UploadId>`);
}

function complete(request: IncomingMessage, name: string, id: string): Answer {
  const upload = uploads.get(id);
  if (upload === undefined) return failure(404, "NoSuchUpload", "no such upload");
  const size = upload.sizes.reduce((sum, one) => sum + one, 0);
  const content = anyClient ? Buffer.concat(upload.contents) : undefined;
  const created = create(request, name, { size, content, metadata: upload.metadata });
  if (created.status !== 200) return created;
  uploads.delete(id);
  return xml("CompleteMultipartUploadResult", "<ETag>object</ETag>");
}

function remove(bucket: string, body: Buffer): Answer {
  for (const [, key] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) objects.delete(`${bucket}/${key}`);
  return xml("DeleteResult", "");
}

function read(request: IncomingMessage, name: string): Answer {
  const object = objects.get(name);
  if (object === undefined) return failure(404, "NoSuchKey", "no such key");
  const headers = { "last-modified": new Date().toUTCString(), etag: '"object"', ...object.metadata };
  if (request.method === "HEAD") return { status: 200, headers: { ...headers, "content-length": object.size } };
  if (object.content === undefined) return failure(501, "NotImplemented", "the content was not kept");
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (range === null) return { status: 200, headers, body: object.content };
  if (Number(range[1]) >= object.size) return failure(416, "InvalidRange", "past the end");
  const body = object.content.subarray(Number(range[1]), Number(range[2]) + 1);
  return { status: 206, headers, body };
}

function list(bucket: string, parameters: URLSearchParams): Answer {
  const root = `${bucket.replace(/\/$/, "")}/`;
  const prefix = parameters.get("prefix") ?? "";
  const delimiter = parameters.get("delimiter");
  const after = parameters.get("start-after") ?? "";
  const keys = [...objects.keys()].flatMap((name) => (name.startsWith(root) ? [name.slice(root.length)] : []));
  const found = keys.filter((one) => one.startsWith(prefix) && one > after).sort();
  const folderOf = (one: string): number => (delimiter === null ? -1 : one.indexOf(delimiter, prefix.length));
  const folders = new Set(found.filter((one) => folderOf(one) >= 0).map((one) => one.slice(0, folderOf(one) + 1)));
  const contents = found
    .filter((one) => folderOf(one) < 0)
    .map((one) => {
      const size = objects.get(root + one)?.size ?? 0;
      return `<Contents><Key>${one}</Key><Size>${size}</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>`;
    });
  const prefixes = [...folders].map((one) => `<CommonPrefixes><Prefix>${one}</Prefix></CommonPrefixes>`);
  return xml("ListBucketResult", `<IsTruncated>false</IsTruncated>${contents.join("")}${prefixes.join("")}`);
}

function metadataOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith("x-amz-meta-") && typeof value === "string" ? [[name, value]] : [],
    ),
  );
}

function xml(element: string, content: string): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?><${element}>${content}</${element}>`;
  return { status: 200, headers: { "content-type": "application/xml" }, body };
}

function failure(status: number, code: string, message: string): Answer {
  return { ...xml("Error", `<Code>${code}</Code><Message>${message}</Message>`), status };
}

function respond(response: ServerResponse, { status, headers, body = "" }: Answer, isHead = false): void {
  response.writeHead(status, {
    "content-length": Buffer.byteLength(body),
    "x-amz-request-id": randomUUID(),
    ...headers,
  });
  response.end(isHead ? undefined : body);
}
