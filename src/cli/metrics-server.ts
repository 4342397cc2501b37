import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ioError } from "../errors.ts";
import type { ListenAddress } from "./parse-values.ts";

export interface MetricsServerOptions {
  readonly listen: ListenAddress;
  /** what was collected is given out for so long */
  readonly intervalMs: number;
  readonly contentType: string;
  /** gives the text to serve; never called before the last call is done */
  readonly collect: () => Promise<string>;
  /** milliseconds of any clock that does not jump */
  readonly now: () => number;
}

export interface MetricsServer {
  /** "http://127.0.0.1:9787" */
  readonly url: string;
  /** Takes no more requests, ends those under way, and is done. */
  close(): Promise<void>;
}

/**
 * Serves `/metrics` and `/healthz`. Collecting begins with a request and not before; whoever asks while it goes on waits for
 * the same collection. `/healthz` says that the server lives, not that all is well: a restart mends no repository.
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const latest = shared(options);
  const server = createServer((request, response) => {
    answer(request, response, latest, options.contentType).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else respond(response, 500, `${error instanceof Error ? error.message : String(error)}\n`);
    });
  });
  await listen(server, options.listen);
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What was collected last, or is being collected, or is collected now. */
function shared({ collect, intervalMs, now }: MetricsServerOptions): () => Promise<string> {
  let last: { readonly text: string; readonly time: number } | undefined;
  let underWay: Promise<string> | undefined;
  const begin = async (): Promise<string> => {
    const text = await collect();
    last = { text, time: now() };
    return text;
  };
  return () => {
    if (underWay !== undefined) return underWay;
    if (last !== undefined && now() - last.time < intervalMs) return Promise.resolve(last.text);
    underWay = begin().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  latest: () => Promise<string>,
  contentType: string,
): Promise<void> {
  const path = (request.url ?? "").split("?", 1)[0];
  if (request.method !== "GET" && request.method !== "HEAD") respond(response, 405, "only GET\n");
  else if (path === "/metrics") respond(response, 200, await latest(), contentType);
  else if (path === "/healthz") respond(response, 200, "ok\n");
  else respond(response, 404, "pgark serves /metrics and /healthz\n");
}

function respond(
  response: ServerResponse,
  code: number,
  text: string,
  contentType = "text/plain; charset=utf-8",
): void {
  response.writeHead(code, { "content-type": contentType, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
  } catch (error) {
    throw ioError("listen", `${host}:${port}`, error);
  }
}
