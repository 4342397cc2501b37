import { PgarkError } from "../../../errors.ts";

/** Reads a body of known size into one buffer; throws `unavailable` when it breaks or ends early. */
export async function readBody(body: NodeJS.ReadableStream | undefined, size: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    if (filled + chunk.length > size) throw broken("more came than was announced");
    buffer.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < size) throw broken(`it ended after ${filled} of ${size} bytes`);
  return buffer;
}

function broken(how: string): PgarkError {
  return new PgarkError("unavailable", `the answer broke off: ${how}`, { operation: "read object" });
}
