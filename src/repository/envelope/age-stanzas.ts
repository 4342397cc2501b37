import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** One way to the file key in an age header (age-encryption.org/v1, "Recipient stanza"), or something said beside them. */
export interface Stanza {
  /** its type, then what the type needs; words without spaces */
  readonly args: readonly string[];
  readonly body: Uint8Array;
}

const versionLine = "age-encryption.org/v1\n";
const macStart = "---";
const lineBytes = 48; // 64 characters of base64

/** No header that pgark writes is longer; with 50 recipients it has 6 KiB. */
export const maxHeaderSize = 64 * 1024;

/** The header as it stands in a file: version, stanzas, and the MAC that the file key gives. */
export function formatHeader(stanzas: readonly Stanza[], fileKey: Uint8Array): Uint8Array {
  const text = `${versionLine}${stanzas.map(formatStanza).join("")}${macStart}`;
  return Buffer.from(`${text} ${encodeBase64(headerMac(fileKey, Buffer.from(text, "latin1")))}\n`, "latin1");
}

function formatStanza({ args, body }: Stanza): string {
  const lines: string[] = [`-> ${args.join(" ")}\n`];
  // The last line is shorter than the others, and empty if need be: it ends the body.
  for (let offset = 0; offset <= body.length; offset += lineBytes) {
    lines.push(`${encodeBase64(body.subarray(offset, offset + lineBytes))}\n`);
  }
  return lines.join("");
}

/** A header that was read; not to be believed before `isAuthentic`. */
export interface ParsedHeader {
  /** bytes, the line with the MAC included */
  readonly size: number;
  readonly stanzas: readonly Stanza[];
  isAuthentic(fileKey: Uint8Array): boolean;
}

/** The header at the beginning of `bytes`, or undefined when there is none that follows the format. */
export function parseHeader(bytes: Uint8Array): ParsedHeader | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, maxHeaderSize)).toString("latin1");
  const macAt = text.indexOf(`\n${macStart} `) + 1;
  const end = text.indexOf("\n", macAt) + 1;
  if (!text.startsWith(versionLine) || macAt === 0 || end === 0) return undefined;
  const stanzas = parseStanzas(text.slice(versionLine.length, macAt));
  const mac = decodeBase64(text.slice(macAt + macStart.length + 1, end - 1));
  if (stanzas === undefined || mac?.length !== 32) return undefined;
  const authenticated = bytes.subarray(0, macAt + macStart.length);
  return {
    size: end,
    stanzas,
    isAuthentic: (fileKey) => timingSafeEqual(mac, headerMac(fileKey, authenticated)),
  };
}

function parseStanzas(text: string): readonly Stanza[] | undefined {
  const lines = text.split("\n").slice(0, -1);
  const stanzas: Stanza[] = [];
  for (let next = 0; next < lines.length;) {
    const [arrow, ...args] = (lines[next++] ?? "").split(" ");
    if (arrow !== "->" || args.length === 0 || !args.every((word) => /^[\x21-\x7e]+$/.test(word))) return undefined;
    const pieces: Uint8Array[] = [];
    for (let isLast = false; !isLast;) {
      const piece = decodeBase64(lines[next++]);
      if (piece === undefined || piece.length > lineBytes) return undefined;
      pieces.push(piece);
      isLast = piece.length < lineBytes;
    }
    stanzas.push({ args, body: Buffer.concat(pieces) });
  }
  return stanzas;
}

function headerMac(fileKey: Uint8Array, header: Uint8Array): Uint8Array {
  const key = new Uint8Array(hkdfSync("sha256", fileKey, new Uint8Array(), "header", 32));
  return createHmac("sha256", key).update(header).digest();
}

/** age's base64 has no padding. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64").replace(/=+$/, "");
}

/** Only what `encodeBase64` gives is read; undefined for all else. */
export function decodeBase64(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, "base64");
  return encodeBase64(bytes) === text ? bytes : undefined;
}
