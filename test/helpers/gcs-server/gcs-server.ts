import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { registerCleanup } from "../cleanup.ts";
import { ApiError, errorBody } from "./api-error.ts";
import { Bucket } from "./bucket.ts";
import { Faults } from "./faults.ts";
import type { Fault } from "./faults.ts";
import { Routes } from "./routes.ts";
import type { ApiAnswer } from "./routes.ts";
import { Tokens } from "./tokens.ts";
import type { ServiceAccount } from "./tokens.ts";

export interface GcsServerOptions {
  /** ask for a bearer token; those of this account are taken, and those issued here */
  readonly account?: ServiceAccount;
  readonly asksForTokens?: boolean;
  /** certificate and key in PEM, to speak https */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A request that was answered, or broke off (status 0). */
export interface SeenRequest {
  readonly method: string;
  /** path and query */
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly status: number;
}

/**
 * A server of the Google Cloud Storage JSON API, as far as objects go, in memory and in this process: no installable one keeps
 * preconditions. It begins empty, with the bucket "bucket"; it goes with `await using`, or after the test file's last test.
 */
export class GcsServer implements AsyncDisposable {
  readonly faults = new Faults();
  readonly requests: SeenRequest[] = [];
  readonly tokens: Tokens;
  readonly #routes: Routes;
  readonly #server: http.Server;
  readonly #scheme: string;
  #dispose: () => Promise<void> = async () => undefined;

  private constructor({ account, asksForTokens = account !== undefined, tls }: GcsServerOptions) {
    this.tokens = new Tokens(account);
    this.#routes = new Routes(this.tokens, asksForTokens);
    this.#scheme = tls === undefined ? "http" : "https";
    const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      this.#handle(request, response).catch((error: unknown) => response.destroy(error as Error));
    };
    this.#server = tls === undefined ? http.createServer(handle) : https.createServer(tls, handle);
  }

  static async start(options: GcsServerOptions = {}): Promise<GcsServer> {
    const server = new GcsServer(options);
    server.createBucket("bucket");
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.#dispose = registerCleanup({
      dispose: () => server.#close(),
      disposeNow: () => server.#server.closeAllConnections(),
    });
    return server;
  }

  /** `http://127.0.0.1:port` */
  get endpoint(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Uploads that were begun and neither finished nor aborted hold no object, but this many sessions. */
  get sessions(): number {
    return this.#routes.sessions.size;
  }

  createBucket(name: string): Bucket {
    const bucket = new Bucket(name);
    this.#routes.buckets.set(name, bucket);
    return bucket;
  }

  bucket(name: string): Bucket {
    const bucket = this.#routes.buckets.get(name);
    if (bucket === undefined) throw new Error(`no bucket ${name}`);
    return bucket;
  }

  /** Sessions are forgotten, as the service does after a week. */
  forgetSessions(): void {
    this.#routes.sessions.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }

  async #close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { method = "", headers } = request;
    const url = new URL(request.url ?? "", `${this.#scheme}://${headers.host ?? ""}`);
    const path = url.pathname + url.search;
    const fault = this.faults.take(method, path);
    const { body, isBroken } = await readBody(request, fault.resetAfter);
    if (fault.delayMs !== undefined) await delay(fault.delayMs);
    const answer = fault.status === undefined ? undefined : faultAnswer(fault.status, fault);
    const sent = fault.damage === "request" ? damaged(body) : body;
    const served = answer ?? this.#answer(method, url, headers, sent, isBroken);
    this.requests.push({ method, path, headers, status: isBroken ? 0 : served.status });
    if (isBroken || fault.hang === true) return;
    if (fault.loseAnswer === true) request.socket.destroy();
    else write(response, served, fault);
  }

  #answer(method: string, url: URL, headers: http.IncomingHttpHeaders, body: Buffer, isBroken: boolean): ApiAnswer {
    try {
      return this.#routes.serve({ method, url, headers, body, isBroken });
    } catch (error) {
      const known = error instanceof ApiError ? error : new ApiError(500, "internalError", String(error));
      return errorAnswer(known, url.searchParams.get("alt") === "media");
    }
  }
}

function errorAnswer(error: ApiError, asText: boolean): ApiAnswer {
  const contentType = asText ? "text/html; charset=UTF-8" : "application/json; charset=UTF-8";
  const body = Buffer.from(asText ? error.message : errorBody(error));
  return { status: error.status, headers: { "content-type": contentType }, body };
}

function faultAnswer(status: number, fault: Fault): ApiAnswer {
  const { reason = "backendError", message = "injected", headers, body } = fault;
  const answer = errorAnswer(new ApiError(status, reason, message), false);
  return {
    status,
    headers: { ...answer.headers, ...headers },
    ...(body === undefined ? { body: answer.body ?? Buffer.alloc(0) } : { body: Buffer.from(body) }),
  };
}

async function readBody(
  request: http.IncomingMessage,
  resetAfter: number | undefined,
): Promise<{ readonly body: Buffer; readonly isBroken: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  let isBroken = false;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (resetAfter !== undefined && size >= resetAfter) request.socket.resetAndDestroy();
    }
  } catch {
    isBroken = true;
  }
  return { body: Buffer.concat(chunks), isBroken };
}

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const middle = Math.floor(copy.length / 2);
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}

function write(response: http.ServerResponse, answer: ApiAnswer, { truncateAt, damage }: Fault): void {
  const { status, headers = {} } = answer;
  const body = damage === "answer" ? damaged(answer.body ?? Buffer.alloc(0)) : (answer.body ?? Buffer.alloc(0));
  const length = status === 204 ? {} : { "content-length": body.length };
  response.writeHead(status, { ...headers, ...length });
  if (truncateAt !== undefined && truncateAt < body.length) {
    response.write(body.subarray(0, truncateAt), () => response.destroy());
  } else {
    response.end(body);
  }
}
