import http from "node:http";
import https from "node:https";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { proxyOptions } from "../../network-settings.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** sent one behind the other; must stay as they are until the answer is there */
  readonly body?: readonly Uint8Array[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpOptions {
  /** certificate authorities in PEM, instead of Node's own */
  readonly authorities: Buffer | undefined;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either spelling */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** milliseconds without a byte in either direction after which a request has failed */
  readonly silenceMs: number;
}

/** Connections to one endpoint; parts and small objects of all lanes share them. */
const maxSockets = 64;

/** HTTP with whole buffers in both directions, over connections that are kept. */
export class HttpConnections {
  readonly #options: HttpOptions;
  readonly #plain: http.Agent;
  readonly #secure: https.Agent;

  constructor(options: HttpOptions) {
    const shared = { keepAlive: true, maxSockets, ...proxyOptions(options.environment) };
    this.#options = options;
    this.#plain = new http.Agent(shared);
    this.#secure = new https.Agent({
      ...shared,
      ...(options.authorities === undefined ? {} : { ca: options.authorities }),
    });
  }

  /**
   * Sends a request and reads the whole answer, whatever its status. Rejects with the system's error, or with an `AbortError`,
   * when there is no answer, when it ends early, and when nothing moves for the time allowed.
   */
  async exchange({ method, url, headers, body = [], signal }: HttpRequest): Promise<HttpAnswer> {
    const { silenceMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const size = body.reduce((sum, { length }) => sum + length, 0);
    const options: http.RequestOptions = {
      method,
      headers: { ...headers, ...(size === 0 && method === "GET" ? {} : { "content-length": String(size) }) },
      timeout: silenceMs,
      ...(signal === undefined ? {} : { signal }),
    };
    const request =
      url.protocol === "https:"
        ? https.request(url, { ...options, agent: this.#secure })
        : http.request(url, { ...options, agent: this.#plain });
    request.on("timeout", () => request.destroy(new Error(`nothing came or went for ${silenceMs / 1000} s`)));
    request.on("error", reject);
    request.on("response", (response) => {
      readAll(response).then((read) => {
        // Refused before all of it was sent: the rest must not go out any more, the caller may reuse its buffers.
        if (!request.writableFinished) request.destroy();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: read });
      }, reject);
    });
    for (const piece of body) request.write(piece);
    request.end();
    return promise;
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const announced = response.headers["content-length"];
  const size = announced === undefined ? undefined : Number(announced);
  const whole = size === undefined ? undefined : Buffer.allocUnsafe(size);
  const chunks: Buffer[] = [];
  let filled = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (whole === undefined) chunks.push(chunk);
    else whole.set(chunk, filled);
    filled += chunk.length;
  }
  if (!response.complete || (size !== undefined && filled !== size)) {
    throw new Error(`the answer broke off after ${filled} of ${size ?? "unknown"} bytes`);
  }
  return whole ?? Buffer.concat(chunks);
}
