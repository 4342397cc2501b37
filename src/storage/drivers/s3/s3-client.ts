import { createHash } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { S3Client } from "@aws-sdk/client-s3";
import { crc32 } from "@node-rs/crc32";
import { authorityOptions, proxyOptions } from "../../network-settings.ts";
import type { Environment } from "../../network-settings.ts";
import type { S3Settings } from "./s3-settings.ts";
import { SlicedBody } from "./s3-sliced-body.ts";
import type { S3Tuning } from "./s3-tuning.ts";

/** What the middleware below sees of a request. */
interface Request {
  readonly protocol?: string;
  readonly headers?: Record<string, string>;
  body?: unknown;
}

/**
 * The client, tuned as measured: connections are kept, no `Expect: 100-continue` (it would cost a connection for each part),
 * and over https the payload is covered by CRC32 and TLS rather than by a SHA-256 in the signature, which halves the cost.
 */
export function createS3Client(settings: S3Settings, environment: Environment, tuning: S3Tuning): S3Client {
  // Callers bound what is under way. A queue for sockets in here would only count against the time limits of those that wait.
  const agentOptions = { keepAlive: true, maxSockets: Infinity, ...proxyOptions(environment) };
  const { endpoint, region } = settings;
  const otherStore = endpoint ?? environment["AWS_ENDPOINT_URL_S3"] ?? environment["AWS_ENDPOINT_URL"];
  const client = new S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    // The region is part of the signature; stores that have none take any.
    ...(region === undefined && otherStore !== undefined ? { region: regionOf(environment) } : {}),
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
    // Nobody but AWS can be expected to have a host name for each bucket.
    forcePathStyle: settings.pathStyle ?? otherStore !== undefined,
    maxAttempts: 1, // S3Caller tries again
    expectContinueHeader: false,
    requestChecksumCalculation: settings.checksums === "supported" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: tuning.connectMs,
      socketTimeout: tuning.silenceMs,
      requestTimeout: tuning.requestMs,
      throwOnRequestTimeout: true,
      httpAgent: new http.Agent(agentOptions),
      httpsAgent: new https.Agent({ ...agentOptions, ...authorityOptions(settings.caFile) }),
    },
  });
  if (settings.checksums === "supported") addChecksum(client);
  leavePayloadUnsigned(client);
  sendInSlices(client);
  if (settings.checksums === "required") addContentMd5(client);
  return client;
}

function regionOf(environment: Environment): string {
  return environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1";
}

/** The CRC32 that the SDK would send, in half of the time; where there is one already, the SDK computes none. */
function addChecksum(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { headers, body } = args.request as Request;
      if (headers !== undefined && body instanceof Uint8Array) {
        const checksum = Buffer.alloc(4);
        checksum.writeUInt32BE(crc32(Buffer.from(body.buffer, body.byteOffset, body.length)));
        headers["x-amz-checksum-crc32"] = checksum.toString("base64");
        headers["x-amz-sdk-checksum-algorithm"] = "CRC32";
      }
      return next(args);
    },
    { step: "build", name: "pgarkChecksum", priority: "high" },
  );
}

/** Only where TLS protects what is on its way; over plain http the body stays in the signature. */
function leavePayloadUnsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { protocol, headers, body } = args.request as Request;
      if (protocol === "https:" && headers !== undefined && body instanceof Uint8Array) {
        headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      }
      return next(args);
    },
    { step: "build", name: "pgarkUnsignedPayload", priority: "low" },
  );
}

/** Over https, and after everything that must see the whole body. */
function sendInSlices(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as Request;
      if (request.protocol === "https:" && request.body instanceof Uint8Array) {
        request.body = new SlicedBody(request.body);
      }
      return next(args);
    },
    { step: "deserialize", name: "pgarkSlicedBody", priority: "low" },
  );
}

/** Stores from before CRC32 demand an MD5 where the service demands a checksum: batch deletes, and objects with a lock. */
function addContentMd5(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { headers, body } = args.request as Request;
      if (headers !== undefined && (typeof body === "string" || body instanceof Uint8Array)) {
        headers["content-md5"] = createHash("md5").update(body).digest("base64");
      }
      return next(args);
    },
    { step: "build", name: "pgarkContentMd5", priority: "low" },
  );
}

/** A signal as the SDK takes it. */
export function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
