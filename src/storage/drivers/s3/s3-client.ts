import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { S3Client } from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { ioError, PgarkError } from "../../../errors.ts";
import type { S3Settings } from "./s3-settings.ts";

/** Connections to one endpoint; parts and small objects of all lanes share them. */
const maxSockets = 64;
const connectMs = 10_000;
/** No byte either way for so long, and the request is given up and tried again. */
const silenceMs = 30_000;
/** By the SDK, with backoff and jitter, for what a retry can mend; it honours Retry-After and corrects a skewed clock. */
const attempts = 8;

/**
 * The client, tuned as measured: connections are kept, no `Expect: 100-continue` (it would cost a connection for each part),
 * and over https the payload is covered by CRC32 and TLS rather than by a SHA-256 in the signature, which halves the cost.
 */
export function createS3Client(
  settings: S3Settings,
  environment: Readonly<Record<string, string | undefined>>,
): S3Client {
  const agentOptions = { keepAlive: true, maxSockets, ...proxyOptions(environment) };
  const client = new S3Client({
    ...(settings.region === undefined ? {} : { region: settings.region }),
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(settings.endpoint !== undefined && settings.region === undefined ? { region: defaultRegion(environment) } : {}),
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
    forcePathStyle: settings.pathStyle,
    maxAttempts: attempts,
    requestChecksumCalculation: settings.checksums === "supported" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectMs,
      requestTimeout: silenceMs,
      throwOnRequestTimeout: true,
      httpAgent: new http.Agent(agentOptions),
      httpsAgent: new https.Agent({ ...agentOptions, ...authorities(settings.caFile) }),
    }),
  });
  leavePayloadUnsigned(client);
  return client;
}

/** The region is part of the signature; stores that have none take any. */
function defaultRegion(environment: Readonly<Record<string, string | undefined>>): string {
  return environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1";
}

/** Node's agents follow HTTP_PROXY, HTTPS_PROXY and NO_PROXY when they are handed them (22.21, 24.5 and later). */
function proxyOptions(environment: Readonly<Record<string, string | undefined>>): { proxyEnv?: NodeJS.ProcessEnv } {
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
  const set = names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]] as const]));
  return set.length === 0 ? {} : { proxyEnv: Object.fromEntries(set) };
}

function authorities(file: string | undefined): { ca?: Buffer } {
  if (file === undefined) return {};
  try {
    return { ca: readFileSync(file) };
  } catch (error) {
    throw ioError("read certificate authorities", file, error);
  }
}

/** Only where TLS protects what is on its way; over plain http the body stays in the signature. */
function leavePayloadUnsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { protocol?: string; headers?: Record<string, string>; body?: unknown };
      if (request.protocol === "https:" && request.headers !== undefined && request.body instanceof Uint8Array) {
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      }
      return next(args);
    },
    { step: "build", name: "pgarkUnsignedPayload", priority: "low" },
  );
}

/** The key of SSE-C from its file. */
export function readCustomerKey(file: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw ioError("read customer key", file, error);
  }
  const key = content.length === 32 ? content : Buffer.from(content.toString("latin1").trim(), "base64");
  if (key.length === 32) return key;
  throw new PgarkError("usage", "not a key of 32 bytes", {
    operation: "read customer key",
    object: file,
    hint: "make one with: openssl rand -base64 32",
  });
}

/** A signal as the SDK takes it. */
export function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
