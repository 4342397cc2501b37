import { createServer, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { registerCleanup } from "../helpers/cleanup.ts";

/** A request as the relay saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** What is to happen to a request instead of being passed on and answered. */
export type Fault =
  /** the service's own kind of answer, without the service: an error with a code, or any body */
  | {
      readonly status: number;
      readonly code?: string;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** passed on and done, but the connection breaks before the answer */
  | "answer lost"
  /** half of the answer's body, then the connection breaks */
  | "body broken"
  /** half of the answer's body, then nothing more */
  | "body stalled"
  /** no answer at all */
  | "silence"
  | "reset";

export interface Relay extends AsyncDisposable {
  readonly address: string;
  readonly seen: readonly SeenRequest[];
  /** Decides each request from now on; undefined passes it on. */
  fault: (request: SeenRequest) => Fault | undefined;
}

/** A relay on loopback that stands before a plain http server, as its address or as its proxy, and does to it what a test wants. */
export async function startRelay(target: string): Promise<Relay> {
  const { hostname, port } = new URL(target);
  const seen: SeenRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? "").replace(/^http:\/\/[^/]+/, ""); // a proxy is asked for whole URLs
    const about = { method: incoming.method ?? "", path, headers: incoming.headers };
    seen.push(about);
    const fault = relay.fault(about);
    if (fault === "reset") {
      incoming.socket.resetAndDestroy();
    } else if (fault === "silence") {
      incoming.resume();
    } else if (typeof fault === "object") {
      incoming.resume();
      incoming.on("end", () => answer(outgoing, fault));
    } else {
      const options = { hostname, port, path, method: about.method, headers: about.headers, agent: false };
      const forwarded = httpRequest(options, (response) => pass(fault, response, outgoing));
      forwarded.on("error", () => incoming.socket.destroy());
      incoming.pipe(forwarded);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const disposeNow = (): void => {
    server.closeAllConnections();
    server.close();
  };
  const dispose = registerCleanup({ dispose: async () => disposeNow(), disposeNow });
  const relay: Relay = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    fault: () => undefined,
    [Symbol.asyncDispose]: dispose,
  };
  return relay;
}

/** The `fault` for the first requests that `which` picks; afterwards all is well. */
export function firstly(count: number, fault: Fault, which: (request: SeenRequest) => boolean = () => true) {
  let left = count;
  return (request: SeenRequest): Fault | undefined => (which(request) && left-- > 0 ? fault : undefined);
}

function answer(outgoing: ServerResponse, fault: Exclude<Fault, string>): void {
  const { status, code, headers } = fault;
  const error = code === undefined ? "" : `<Error><Code>${code}</Code><Message>Injected.\nTime</Message></Error>`;
  outgoing.writeHead(status, {
    "content-type": "application/xml",
    ...(code === undefined ? {} : { "x-ms-error-code": code }),
    ...headers,
  });
  outgoing.end(fault.body ?? error);
}

function pass(fault: Fault | undefined, response: IncomingMessage, outgoing: ServerResponse): void {
  if (fault === "answer lost") {
    response.resume();
    response.on("end", () => outgoing.socket?.resetAndDestroy());
    return;
  }
  outgoing.writeHead(response.statusCode ?? 500, response.headers);
  if (fault === undefined) {
    response.pipe(outgoing);
    return;
  }
  const chunks: Buffer[] = [];
  response.on("data", (chunk: Buffer) => chunks.push(chunk));
  response.on("end", () => {
    const body = Buffer.concat(chunks);
    outgoing.write(body.subarray(0, body.length / 2), () => {
      if (fault === "body broken") outgoing.socket?.resetAndDestroy();
    });
  });
}
