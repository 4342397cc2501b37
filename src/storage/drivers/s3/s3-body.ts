import type { Readable } from "node:stream";
import { PgarkError } from "../../../errors.ts";

/** A body that says nothing for so long has stalled. */
const silenceMs = 30_000;

/**
 * Reads a body of known size into one buffer. Throws `unavailable` when it stalls, breaks or ends early; the SDK retries none
 * of these, the caller does.
 */
export async function readBody(body: Readable, size: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(size);
  let filled = 0;
  let timer: NodeJS.Timeout | undefined;
  const watch = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => body.destroy(broken(`nothing came for ${silenceMs / 1000} s`)), silenceMs);
  };
  const onAbort = (): void => {
    body.destroy(new PgarkError("aborted", "stopped", { operation: "read object" }));
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  watch();
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      if (filled + chunk.length > size) throw broken("more came than was announced");
      buffer.set(chunk, filled);
      filled += chunk.length;
      watch();
    }
  } catch (error) {
    if (error instanceof Error && error.name === "PgarkError") throw error;
    throw broken(error instanceof Error ? error.message : String(error), error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
  if (filled < size) throw broken(`it ended after ${filled} of ${size} bytes`);
  return buffer;
}

function broken(how: string, cause?: unknown): PgarkError {
  return new PgarkError("unavailable", `the answer broke off: ${how}`, { operation: "read object", cause });
}
