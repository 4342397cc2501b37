import { setTimeout as delay } from "node:timers/promises";
import { Storage } from "@google-cloud/storage";
import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import { retry } from "../../../retry.ts";
import { authorityOptions } from "../../network-settings.ts";
import type { Environment } from "../../network-settings.ts";
import { anonymous, DefaultCredentials } from "./gcs-credentials.ts";
import type { GcsCredentials } from "./gcs-credentials.ts";
import { answerError, networkError } from "./gcs-errors.ts";
import { HttpConnections } from "./gcs-http.ts";
import type { HttpAnswer, HttpRequest } from "./gcs-http.ts";
import type { GcsSettings } from "./gcs-settings.ts";

/** What a store takes from its surroundings. */
export interface GcsSurroundings {
  readonly environment: Environment;
  readonly now: () => Date;
  /** from 0 up to 1 */
  readonly random: () => number;
  /** resolves after so many milliseconds, or rejects when the signal fires */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
  /** milliseconds without a byte after which a request is given up and tried again */
  readonly silenceMs: number;
}

export function gcsSurroundings(environment: Environment): GcsSurroundings {
  return {
    environment,
    now: () => new Date(),
    random: Math.random,
    sleep: (milliseconds, signal) => delay(milliseconds, undefined, signal === undefined ? {} : { signal }),
    silenceMs: 30_000,
  };
}

export interface GcsRequest extends Omit<HttpRequest, "headers"> {
  /** for messages */
  readonly operation: string;
  /** for messages; without the repository's prefix */
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** statuses other than 2xx that are an answer and no error */
  readonly expected?: readonly number[] | undefined;
}

/** Tries within about half a minute; Google asks for exponential pauses. */
const attempts = 8;
const firstDelayMs = 250;
const maxDelayMs = 16_000;
/** A store that wants to be left alone for longer than this is unavailable. */
const maxRetryAfterMs = 60_000;

/**
 * Requests to the JSON API: signed on, typed when they fail, tried again when that can help.
 *
 * The SDK gives credentials and the endpoint; the requests are pgark's own, because those of the SDK (8.4) cannot be aborted, have
 * no time limit, send the whole of a body through streams, open a connection for each request behind a proxy, honour no
 * Retry-After, and come without credentials when they begin an upload at an endpoint of one's own.
 */
export class GcsClient {
  readonly settings: GcsSettings;
  readonly surroundings: GcsSurroundings;
  readonly #endpoint: string;
  readonly #credentials: GcsCredentials;
  readonly #connections: HttpConnections;

  constructor(settings: GcsSettings, surroundings: GcsSurroundings) {
    const storage = new Storage({
      ...(settings.endpoint === undefined ? {} : { apiEndpoint: settings.endpoint }),
      // No request about objects needs it, but the SDK would look for one, over the network and by running gcloud.
      projectId: settings.project ?? "-",
    });
    this.settings = settings;
    this.surroundings = surroundings;
    this.#endpoint = storage.apiEndpoint;
    this.#credentials = isEmulator(this.#endpoint, surroundings.environment)
      ? anonymous
      : new DefaultCredentials(storage);
    this.#connections = new HttpConnections({
      authorities: authorityOptions(settings.caFile).ca,
      environment: surroundings.environment,
      silenceMs: surroundings.silenceMs,
    });
  }

  /** An object, by its key in the repository, or all of them. */
  objectUrl(key: string | undefined, query: Readonly<Record<string, string>> = {}): URL {
    const { bucket, prefix } = this.settings.url;
    const name = key === undefined ? "" : `/${encodeURIComponent(prefix + key)}`;
    return this.#url(`/storage/v1/b/${encodeURIComponent(bucket)}/o${name}`, query);
  }

  uploadUrl(query: Readonly<Record<string, string>>): URL {
    return this.#url(`/upload/storage/v1/b/${encodeURIComponent(this.settings.url.bucket)}/o`, query);
  }

  /** One try. Throws typed errors for all but 2xx and what is `expected`. */
  async send(request: GcsRequest): Promise<HttpAnswer> {
    const { operation, key, signal, expected = [] } = request;
    throwIfAborted(signal, operation);
    const answer = await this.#authorized(request).catch((error: unknown) => {
      throw networkError(operation, key, error);
    });
    if ((answer.status >= 200 && answer.status < 300) || expected.includes(answer.status)) return answer;
    throw answerError(operation, key, answer);
  }

  /** Does `work` again while that may help, with pauses that grow and are never shorter than what the store asked for. */
  async retry<T>(signal: AbortSignal | undefined, work: (attempt: number) => Promise<T>): Promise<T> {
    const { random, sleep } = this.surroundings;
    let askedMs = 0;
    return retry(work, {
      attempts,
      firstDelayMs,
      maxDelayMs,
      random,
      signal,
      onRetry: (error) => {
        const facts = isPgarkError(error) ? error.facts : undefined;
        askedMs = Math.min(Number(facts?.["retryAfterMs"] ?? 0), maxRetryAfterMs);
      },
      sleep: async (milliseconds, abort) => {
        try {
          await sleep(Math.max(milliseconds, askedMs), abort);
        } catch (error) {
          throw networkError("wait for the store", this.settings.url.bucket, error);
        }
      },
    });
  }

  close(): void {
    this.#connections.close();
  }

  /** A token that was revoked, or that another clock thinks expired, is renewed once. */
  async #authorized({ operation, method, url, headers, body, signal }: GcsRequest): Promise<HttpAnswer> {
    const exchange = (credentials: Readonly<Record<string, string>>): Promise<HttpAnswer> =>
      this.#connections.exchange({ method, url, headers: { ...headers, ...credentials }, body, signal });
    // An upload's session may lie elsewhere; it is its own credential there.
    if (url.origin !== new URL(this.#endpoint).origin) return exchange({});
    const credentials = await unlessAborted(this.#credentials.headers(), signal, operation);
    const answer = await exchange(credentials);
    if (answer.status !== 401) return answer;
    const isRenewed = await unlessAborted(this.#credentials.renew(credentials), signal, operation);
    return isRenewed ? exchange(await this.#credentials.headers()) : answer;
  }

  #url(path: string, query: Readonly<Record<string, string>>): URL {
    const { userProject } = this.settings;
    const url = new URL(this.#endpoint + path);
    url.search = new URLSearchParams({
      ...query,
      ...(userProject === undefined ? {} : { userProject }),
    }).toString();
    return url;
  }
}

/** Waits for `work`, which goes on for others, only until the signal fires. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined, operation: string): Promise<T> {
  if (signal === undefined) return work;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new PgarkError("aborted", "stopped", { operation, cause: signal.reason }));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Plain http is an emulator's, and gets credentials only when somebody took care to name them. */
function isEmulator(endpoint: string, environment: Environment): boolean {
  const named = ["GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST"].some(
    (name) => (environment[name] ?? "") !== "",
  );
  return endpoint.startsWith("http://") && !named;
}
