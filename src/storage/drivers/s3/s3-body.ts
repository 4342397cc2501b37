import type { Readable } from "node:stream";
import { copyBytes } from "../../../copy-bytes.ts";
import { isPgarkError, PgarkError } from "../../../errors.ts";

export interface ReadBodyOptions {
  /** bytes, as announced; undefined when the store did not say */
  readonly size: number | undefined;
  /** memory to read into when it is large enough; what is returned then lies in it */
  readonly into?: Uint8Array | undefined;
  /** a body that says nothing for so long, in milliseconds, has stalled */
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads a body into one buffer. Throws `unavailable` when it stalls, breaks or ends early, so that the caller asks again; nobody
 * else would.
 */
export async function readBody(body: Readable, options: ReadBodyOptions): Promise<Uint8Array> {
  const { size, into, silenceMs, signal } = options;
  const timer = setTimeout(() => body.destroy(broken(`nothing came for ${silenceMs / 1000} s`)), silenceMs);
  const onAbort = (): void => {
    body.destroy(new PgarkError("aborted", "stopped", { operation: "read object" }));
  };
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const collected = size === undefined ? new ChunkCollector() : new SizedCollector(memoryFor(size, into));
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      collected.add(chunk);
      timer.refresh();
    }
    return collected.end();
  } catch (error) {
    if (isPgarkError(error)) throw error;
    throw broken(error instanceof Error ? error.message : String(error), error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function memoryFor(size: number, into: Uint8Array | undefined): Uint8Array {
  return into !== undefined && into.length >= size ? into.subarray(0, size) : Buffer.allocUnsafeSlow(size);
}

/** Takes as many bytes as its memory has. */
class SizedCollector {
  readonly #buffer: Buffer;
  #filled = 0;

  constructor({ buffer, byteOffset, length }: Uint8Array) {
    this.#buffer = Buffer.from(buffer, byteOffset, length);
  }

  add(chunk: Uint8Array): void {
    if (this.#filled + chunk.length > this.#buffer.length) throw broken("more came than was announced");
    copyBytes(this.#buffer, chunk, this.#filled);
    this.#filled += chunk.length;
  }

  end(): Uint8Array {
    if (this.#filled === this.#buffer.length) return this.#buffer;
    throw broken(`it ended after ${this.#filled} of ${this.#buffer.length} bytes`);
  }
}

/** For a store, or a proxy before it, that sends chunked: their framing tells whether the end was reached. */
class ChunkCollector {
  readonly #chunks: Uint8Array[] = [];

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  end(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }
}

function broken(how: string, cause?: unknown): PgarkError {
  return new PgarkError("unavailable", `the answer broke off: ${how}`, { operation: "read object", cause });
}
