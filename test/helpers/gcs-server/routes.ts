import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ApiError, badRequest, noBucket } from "./api-error.ts";
import type { Bucket, ObjectMetadata } from "./bucket.ts";
import { announcedChecksums } from "./checksums.ts";
import { customerKeyDigest, refuseOtherKey } from "./encryption.ts";
import { listPage } from "./listing.ts";
import { parseMultipart } from "./multipart.ts";
import type { Tokens } from "./tokens.ts";
import { UploadSession } from "./upload-session.ts";

export interface ApiRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** the client went away in the middle of the body */
  readonly isBroken: boolean;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

const json = (value: unknown): ApiAnswer => ({
  status: 200,
  headers: { "content-type": "application/json; charset=UTF-8" },
  body: Buffer.from(JSON.stringify(value)),
});

/** The paths of the JSON API that deal in objects, of the metadata server, and of a token exchange. */
export class Routes {
  readonly buckets = new Map<string, Bucket>();
  readonly sessions = new Map<string, UploadSession>();
  readonly #tokens: Tokens;
  readonly #asksForTokens: boolean;

  /** @param asksForTokens without it everybody may come in, as at an emulator */
  constructor(tokens: Tokens, asksForTokens: boolean) {
    this.#tokens = tokens;
    this.#asksForTokens = asksForTokens;
  }

  serve(request: ApiRequest): ApiAnswer {
    const { url, method, headers, isBroken } = request;
    if (url.pathname === "/token") return json(this.#tokens.issue());
    if (url.pathname.startsWith("/computeMetadata/")) return this.#machineMetadata(request);
    const id = url.searchParams.get("upload_id");
    if (id !== null) return this.#session(request, id); // is its own credential
    if (this.#asksForTokens) this.#tokens.check(headers.authorization);
    if (isBroken) throw badRequest("The request ended early.");
    const path = /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(url.pathname);
    if (path === null) throw new ApiError(404, "notFound", "Not Found");
    const bucket = this.buckets.get(decodeURIComponent(path[2] ?? ""));
    if (bucket === undefined) throw noBucket();
    const name = path[3] === undefined ? undefined : decodeURIComponent(path[3]);
    if (path[1] !== undefined && method === "POST") return this.#upload(request, bucket);
    if (name === undefined && method === "GET") return json(listPage(bucket, url.searchParams));
    if (name !== undefined && method === "GET") return read(request, bucket, name);
    if (name !== undefined && method === "DELETE") {
      bucket.delete(name, url.searchParams);
      return { status: 204 };
    }
    throw new ApiError(405, "methodNotAllowed", "Method Not Allowed");
  }

  #upload({ url, headers, body }: ApiRequest, bucket: Bucket): ApiAnswer {
    const query = url.searchParams;
    const keyDigest = customerKeyDigest(headers);
    if (query.get("uploadType") === "multipart") {
      const upload = parseMultipart(body, headers["content-type"] ?? "");
      const metadata = { ...announcedChecksums(headers), ...(JSON.parse(upload.metadata) as ObjectMetadata) };
      const name = metadata.name ?? query.get("name") ?? "";
      return json(bucket.create({ name, content: Buffer.from(upload.content), metadata, query, keyDigest }));
    }
    if (query.get("uploadType") !== "resumable") throw badRequest("Invalid uploadType");
    const metadata = (body.length === 0 ? {} : JSON.parse(body.toString())) as ObjectMetadata;
    const name = metadata.name ?? query.get("name") ?? "";
    bucket.checkPreconditions(name, query);
    const id = randomBytes(24).toString("base64url");
    this.sessions.set(id, new UploadSession({ bucket, name, metadata, query, keyDigest }));
    const location = new URL(url);
    location.search = new URLSearchParams({ uploadType: "resumable", upload_id: id }).toString();
    return { status: 200, headers: { location: location.href } };
  }

  #session({ method, headers, body, isBroken }: ApiRequest, id: string): ApiAnswer {
    const session = this.sessions.get(id);
    if (session === undefined) throw new ApiError(404, "notFound", "Upload session not found");
    if (method === "DELETE") {
      this.sessions.delete(id);
      return { status: 499 };
    }
    const finished = session.put(body, headers, isBroken);
    if (finished !== undefined) return json(finished);
    return { status: 308, headers: session.size === 0 ? {} : { range: `bytes=0-${session.size - 1}` } };
  }

  #machineMetadata({ url, headers }: ApiRequest): ApiAnswer {
    if (headers["metadata-flavor"] !== "Google") throw new ApiError(403, "forbidden", "Missing Metadata-Flavor:Google");
    const flavor = { "metadata-flavor": "Google" };
    if (url.pathname.endsWith("/token")) {
      const answer = json(this.#tokens.issue());
      return { ...answer, headers: { ...answer.headers, ...flavor } };
    }
    const text = url.pathname.includes("universe") ? "googleapis.com" : "test";
    return { status: 200, headers: { ...flavor, "content-type": "application/text" }, body: Buffer.from(text) };
  }
}

function read({ url, headers }: ApiRequest, bucket: Bucket, name: string): ApiAnswer {
  const { resource, content, keyDigest } = bucket.find(name);
  if (url.searchParams.get("alt") !== "media") return json(resource);
  refuseOtherKey(keyDigest, headers);
  const answerHeaders = {
    "content-type": resource.contentType ?? "application/octet-stream",
    "x-goog-generation": resource.generation,
    "x-goog-hash": `crc32c=${resource.crc32c},md5=${resource.md5Hash}`,
    "x-goog-stored-content-encoding": "identity",
  };
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
  if (range === null) return { status: 200, headers: answerHeaders, body: content };
  const begin = Number(range[1]);
  const end = Math.min(range[2] === "" ? Infinity : Number(range[2]) + 1, content.length);
  if (begin >= end) {
    const body = Buffer.from("The requested range cannot be satisfied.");
    return { status: 416, headers: { "content-range": `bytes */${content.length}` }, body };
  }
  const contentRange = `bytes ${begin}-${end - 1}/${content.length}`;
  return {
    status: 206,
    headers: { ...answerHeaders, "content-range": contentRange },
    body: content.subarray(begin, end),
  };
}
