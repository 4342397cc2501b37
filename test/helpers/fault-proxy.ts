import { Agent, createServer, request as httpRequest } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { registerCleanup } from "./cleanup.ts";

/** What is done to one request. Bytes are those of the body; a body that is shorter is cut at its end. */
export type Fault =
  /** nothing */
  | { readonly kind: "pass" }
  /** the request is passed on after a while */
  | { readonly kind: "latency"; readonly ms: number }
  /** bytes per second, either way */
  | { readonly kind: "throttle"; readonly rate: number }
  /** the connection is reset before the server sees anything */
  | { readonly kind: "refuse" }
  /** the request is taken and never answered */
  | { readonly kind: "hang" }
  /** an answer of the proxy's own; the server sees nothing */
  | {
      readonly kind: "answer";
      readonly status: number;
      /** on top of Content-Length, which "Transfer-Encoding" replaces */
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** the connection is reset when so much of the request has come; the server has seen as much */
  | { readonly kind: "reset-request"; readonly afterBytes: number }
  /** the connection is reset in the answer's body */
  | { readonly kind: "reset-answer"; readonly afterBytes: number }
  /** the connection is closed in good order in the answer's body */
  | { readonly kind: "truncate-answer"; readonly afterBytes: number }
  /** the answer begins and then says nothing more */
  | { readonly kind: "stall-answer"; readonly afterBytes: number }
  /** the server has served the request, and its answer gets lost */
  | { readonly kind: "lose-answer" };

export interface SeenRequest {
  readonly method: string;
  /** path and query as sent */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** requests over one connection have the same */
  readonly clientPort: number | undefined;
}

export interface FaultRule {
  readonly matches: (request: SeenRequest) => boolean;
  /** undefined: this rule passes, the next one is asked */
  readonly fault: Fault | ((request: SeenRequest) => Fault | undefined);
  /** how many requests it is for; all, unless said */
  readonly times?: number;
  /** done before the request is passed on */
  readonly before?: (request: SeenRequest) => Promise<void>;
}

export interface FaultProxyOptions {
  /** the server's URL, over plain http */
  readonly target: string;
  /** PEM of a key and a certificate: the proxy then speaks https to its clients */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** Stands between an HTTP client and its server and breaks what it is told to. The rules are asked in order. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new FaultProxy(options);
  await proxy.listen();
  return proxy;
}

export class FaultProxy implements AsyncDisposable {
  /** every request that came, oldest first */
  readonly requests: SeenRequest[] = [];
  /** the faults that were done, by kind */
  readonly tally: Partial<Record<Fault["kind"], number>> = {};
  readonly #options: FaultProxyOptions;
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #dispose: () => Promise<void>;
  #rules: { readonly rule: FaultRule; left: number }[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#target = new URL(options.target);
    this.#dispose = registerCleanup({ dispose: () => this.#close(), disposeNow: () => {} });
  }

  get endpoint(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  add(...rules: readonly FaultRule[]): void {
    this.#rules.push(...rules.map((rule) => ({ rule, left: rule.times ?? Infinity })));
  }

  /** Forgets all rules, requests and tallies. */
  reset(): void {
    this.#rules = [];
    this.requests.length = 0;
    for (const kind of Object.keys(this.tally)) delete this.tally[kind as Fault["kind"]];
  }

  /** Listens, again on the same port if it did before. */
  async listen(): Promise<void> {
    const serve = (request: IncomingMessage, response: ServerResponse): void => {
      const { socket } = request;
      this.#serve(request, response).catch(() => socket.destroy());
    };
    const server =
      this.#options.tls === undefined ? createServer(serve) : createTlsServer({ ...this.#options.tls }, serve);
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  /** From now on connections are refused, and those that were open are gone. */
  async stopListening(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }

  async #close(): Promise<void> {
    await this.stopListening();
    this.#agent.destroy();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers, socket } = request;
    const seen: SeenRequest = { method, url, headers, clientPort: socket.remotePort };
    this.requests.push(seen);
    request.on("error", () => {});
    response.on("error", () => {});
    const { fault, rule } = this.#choose(seen);
    this.tally[fault.kind] = (this.tally[fault.kind] ?? 0) + 1;
    await rule?.before?.(seen);
    if (fault.kind === "refuse") return reset(request.socket);
    if (fault.kind === "hang") {
      request.resume();
      return;
    }
    if (fault.kind === "answer") {
      request.resume();
      request.once("end", () => {
        const chunked = fault.headers?.["Transfer-Encoding"] !== undefined;
        const length = chunked ? {} : { "Content-Length": Buffer.byteLength(fault.body ?? "") };
        response.writeHead(fault.status, { ...length, ...fault.headers });
        response.end(request.method === "HEAD" ? "" : fault.body);
      });
      return;
    }
    if (fault.kind === "latency") await delay(fault.ms);
    this.#forward(request, response, fault);
  }

  #choose(seen: SeenRequest): { readonly fault: Fault; readonly rule?: FaultRule } {
    for (const entry of this.#rules) {
      if (entry.left <= 0 || !entry.rule.matches(seen)) continue;
      const fault = typeof entry.rule.fault === "function" ? entry.rule.fault(seen) : entry.rule.fault;
      if (fault === undefined) continue;
      entry.left--;
      return { fault, rule: entry.rule };
    }
    return { fault: { kind: "pass" } };
  }

  #forward(request: IncomingMessage, response: ServerResponse, fault: Fault): void {
    const { hostname, port } = this.#target;
    const { method = "GET", url: path = "/", rawHeaders: headers, socket } = request;
    const fail = (): void => {
      socket.destroy();
    };
    // The headers go on as they came, the host's name too: they are signed.
    const upstream = httpRequest({ agent: this.#agent, hostname, port, method, path, headers, setHost: false });
    upstream.on("error", fail);
    upstream.once("response", (answer: IncomingMessage) => {
      answer.on("error", fail);
      passAnswer(answer, response, socket, fault).catch(fail);
    });
    response.once("close", () => upstream.destroy());
    passRequest(request, upstream, socket, fault).catch(fail);
  }
}

interface Sink {
  write(chunk: Uint8Array, done: () => void): boolean;
  end(): unknown;
  destroy(): unknown;
}

async function passRequest(request: IncomingMessage, upstream: Sink, socket: Socket, fault: Fault): Promise<void> {
  const limit = fault.kind === "reset-request" ? fault.afterBytes : Infinity;
  const whole = await pass(request, upstream, limit, fault);
  if (whole && limit === Infinity) {
    upstream.end();
    return;
  }
  reset(socket);
  upstream.destroy();
}

async function passAnswer(
  answer: IncomingMessage,
  response: ServerResponse,
  socket: Socket,
  fault: Fault,
): Promise<void> {
  if (fault.kind === "lose-answer") {
    answer.resume();
    answer.once("end", () => reset(socket));
    return;
  }
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
  const cut = ["reset-answer", "truncate-answer", "stall-answer"].includes(fault.kind) && "afterBytes" in fault;
  if (cut) response.flushHeaders();
  await pass(answer, response, cut ? fault.afterBytes : Infinity, fault);
  if (!cut) {
    response.end();
    return;
  }
  answer.destroy();
  if (fault.kind === "reset-answer") reset(socket);
  else if (fault.kind === "truncate-answer") socket.end();
}

/** Copies up to `limit` bytes; true when that was all. */
async function pass(from: IncomingMessage, to: Sink, limit: number, fault: Fault): Promise<boolean> {
  let passed = 0;
  for await (const chunk of from as AsyncIterable<Uint8Array>) {
    const taken = chunk.subarray(0, limit - passed);
    passed += taken.length;
    if (fault.kind === "throttle") await delay((taken.length / fault.rate) * 1000);
    await new Promise<void>((resolve) => to.write(taken, resolve));
    if (passed >= limit) return false;
  }
  return true;
}

function reset(socket: Socket): void {
  // A TLS socket can only be destroyed; what lies below it is reset then.
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}

/** An answer of the proxy's own that is an error as S3 writes it, be its status what it may. */
export function errorAnswer(
  status: number,
  code: string,
  message = "it was injected",
  headers: Readonly<Record<string, string>> = {},
): Fault {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { kind: "answer", status, headers: { "Content-Type": "application/xml", ...headers }, body };
}
