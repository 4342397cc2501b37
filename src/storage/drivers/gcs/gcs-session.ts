import { crc32c } from "@node-rs/crc32";
import { PgarkError } from "../../../errors.ts";
import { crcText } from "./gcs-checksum.ts";
import type { GcsClient } from "./gcs-client.ts";
import type { HttpAnswer } from "./gcs-http.ts";

export interface SessionOptions {
  readonly client: GcsClient;
  readonly key: string;
  /** for every request of the session: encryption */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface Finished {
  readonly answer: HttpAnswer;
  /** of the whole object, in bytes */
  readonly size: number;
  /** CRC-32C of the whole object */
  readonly crc: number;
}

/** The answer to a request of a session: what it holds now, the finished object, or that it is no more. */
type SessionState = { readonly persisted: number } | { readonly finished: HttpAnswer } | "gone";

/**
 * A resumable upload: bytes in sequence, in multiples of 256 KiB until the last ones. Nothing of it is visible before it is
 * finished; what was begun and never finished goes after a week. A request whose outcome is not known is followed by a
 * question for how far the session has come, and goes on from there.
 */
export class GcsSession {
  readonly #about: SessionOptions;
  /** a secret: who knows it can write to the session */
  readonly #location: URL;
  #offset = 0;
  #crc = 0;

  private constructor(about: SessionOptions, location: URL) {
    this.#about = about;
    this.#location = location;
  }

  /** Throws `exists` when the name is taken and `query` says that it must not be. */
  static async begin(
    about: SessionOptions,
    query: Readonly<Record<string, string>>,
    metadata: Readonly<Record<string, unknown>>,
  ): Promise<GcsSession> {
    const { client, key, headers, signal } = about;
    const answer = await client.retry(signal, () =>
      client.send({
        operation: "begin object",
        key,
        method: "POST",
        url: client.uploadUrl({ ...query, uploadType: "resumable" }),
        headers: { ...headers, "content-type": "application/json" },
        body: [Buffer.from(JSON.stringify(metadata))],
        signal,
      }),
    );
    const location = answer.headers.location;
    if (location !== undefined && URL.canParse(location)) return new GcsSession(about, new URL(location));
    throw new PgarkError("unavailable", "the store gave no upload session", { operation: "begin object", object: key });
  }

  /** Adds bytes, a multiple of 256 KiB. They may change once the promise resolves. */
  async append(bytes: Uint8Array): Promise<void> {
    const state = await this.#transfer("write part", bytes, undefined);
    if (state === "gone" || "finished" in state) {
      throw new PgarkError("unavailable", "the upload session was lost", {
        operation: "write part",
        object: this.#about.key,
        hint: "sessions last a week; the upload must begin again",
      });
    }
    this.#offset += bytes.length;
    this.#crc = crc32c(bytes, this.#crc);
  }

  /**
   * Adds the last bytes, and the object appears. The store compares a checksum of the whole. Gives its answer, or "gone" when
   * the session is no more: then an earlier try may have finished it. Throws `exists` when the name was taken meanwhile.
   */
  async finish(bytes: Uint8Array): Promise<Finished | "gone"> {
    const crc = bytes.length === 0 ? this.#crc : crc32c(bytes, this.#crc);
    const state = await this.#transfer("complete object", bytes, crc);
    if (state === "gone") return state;
    if ("finished" in state) return { answer: state.finished, size: this.#offset + bytes.length, crc };
    throw new PgarkError("unavailable", "the store did not finish the object", {
      operation: "complete object",
      object: this.#about.key,
    });
  }

  /** Tells the store to forget it. A session costs nothing and shows nowhere, so this is tried once and may fail. */
  async cancel(): Promise<void> {
    const { client, key, headers } = this.#about;
    const expected = [404, 410, 499];
    const request = {
      operation: "abort upload",
      key,
      method: "DELETE",
      url: this.#location,
      headers,
      expected,
    } as const;
    await client.send(request).catch(() => undefined);
  }

  /** @param crc of the whole object; what is sent is then its end */
  async #transfer(operation: string, bytes: Uint8Array, crc: number | undefined): Promise<SessionState> {
    const begin = this.#offset;
    const end = begin + bytes.length;
    const isLast = crc !== undefined;
    const total = isLast ? String(end) : "*";
    const checksum = isLast ? { "x-goog-hash": `crc32c=${crcText(crc)}` } : undefined;
    return this.#about.client.retry(this.#about.signal, async (attempt) => {
      let state: SessionState = { persisted: begin };
      if (attempt > 1) state = await this.#put(operation, "bytes */*", undefined, undefined);
      for (;;) {
        if (state === "gone" || "finished" in state) return state;
        const { persisted }: { readonly persisted: number } = state;
        if (persisted < begin || persisted > end) throw this.#astray(operation, persisted);
        if (persisted === end && !isLast) return state;
        const rest = bytes.subarray(persisted - begin);
        const range = rest.length === 0 ? `bytes */${total}` : `bytes ${persisted}-${end - 1}/${total}`;
        state = await this.#put(operation, range, rest, checksum);
        if (state !== "gone" && "persisted" in state && state.persisted <= persisted) {
          throw this.#astray(operation, state.persisted);
        }
      }
    });
  }

  async #put(
    operation: string,
    range: string,
    bytes: Uint8Array | undefined,
    checksum: Readonly<Record<string, string>> | undefined,
  ): Promise<SessionState> {
    const { client, key, headers, signal } = this.#about;
    const answer = await client.send({
      operation,
      key,
      method: "PUT",
      url: this.#location,
      headers: { ...headers, ...checksum, "content-range": range },
      body: bytes === undefined || bytes.length === 0 ? [] : [bytes],
      signal,
      expected: [308, 404, 410],
    });
    if (answer.status === 404 || answer.status === 410) return "gone";
    if (answer.status !== 308) return { finished: answer };
    const last = /^bytes=0-(\d+)$/.exec(answer.headers.range ?? "")?.[1];
    return { persisted: last === undefined ? 0 : Number(last) + 1 };
  }

  #astray(operation: string, persisted: number): PgarkError {
    return new PgarkError("unavailable", `the upload session stands at byte ${persisted} instead of ${this.#offset}`, {
      operation,
      object: this.#about.key,
    });
  }
}
