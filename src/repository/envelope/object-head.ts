import { readSkippableFrame, skippableFrame } from "./zstd-frames.ts";

/**
 * What the first bytes of an object say in the clear, so that a writer that cannot decrypt still knows whether "exists" means
 * the same content, and whose it is.
 */
export interface ObjectHead {
  /** of the plain content: `contentDigestHex` */
  readonly digest: string;
  /** bytes of the plain content */
  readonly size: number;
  /** who wrote it: a host name */
  readonly writer: string;
  readonly written: Date;
}

/** The type of our stanza in an age header, and the first word of the skippable frame. */
const headType = "pgark/head-v1";

const maxWriterSize = 300;

/** Enough for the head of any object: our stanza or frame comes first. */
export const headReadSize = 1024;

/** The words of the head: its type, then `name=value` pairs that hold neither spaces nor controls. */
export function headStanza(head: ObjectHead): readonly string[] {
  return [
    headType,
    `blake3=${head.digest}`,
    `size=${head.size}`,
    `writer=${encodeWriter(head.writer)}`,
    `written=${head.written.toISOString()}`,
  ];
}

/** Whatever it is called, the head must fit into `headReadSize`: a name is cut, never in the middle of a character. */
function encodeWriter(writer: string): string {
  const encoded = encodeURIComponent(writer.toWellFormed());
  if (encoded.length <= maxWriterSize) return encoded || "-";
  let cut = "";
  for (const character of writer.toWellFormed()) {
    const next = cut + encodeURIComponent(character);
    if (next.length > maxWriterSize) return cut;
    cut = next;
  }
  return cut;
}

/** The head of an object that is not encrypted: a zstd frame that decompressors pass over. */
export function headFrame(head: ObjectHead): Uint8Array {
  return skippableFrame(Buffer.from(headStanza(head).join(" ")));
}

/** The head in the first `headReadSize` bytes of an object, encrypted or not; undefined when there is none. */
export function readObjectHead(bytes: Uint8Array): ObjectHead | undefined {
  const frame = readSkippableFrame(bytes);
  if (frame !== undefined) return parseHead(Buffer.from(frame).toString("latin1"));
  const line = /^age-encryption\.org\/v1\n-> ([^\n]+)\n/.exec(Buffer.from(bytes).toString("latin1"))?.[1];
  return line === undefined ? undefined : parseHead(line);
}

function parseHead(line: string): ObjectHead | undefined {
  const [type, ...pairs] = line.split(" ");
  if (type !== headType) return undefined;
  const fields = new Map(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      return [pair.slice(0, equals), pair.slice(equals + 1)] as const;
    }),
  );
  const digest = fields.get("blake3");
  const written = new Date(fields.get("written") ?? Number.NaN);
  const size = Number(fields.get("size"));
  if (digest === undefined || !/^[0-9a-f]{64}$/.test(digest) || !Number.isSafeInteger(size)) return undefined;
  if (Number.isNaN(written.getTime())) return undefined;
  return { digest, size, writer: decodeWriter(fields.get("writer")), written };
}

function decodeWriter(text: string | undefined): string {
  try {
    return decodeURIComponent(text ?? "unknown");
  } catch {
    return "unknown"; // damaged; it only serves an error message
  }
}
