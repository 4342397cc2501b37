import { badRequest } from "./api-error.ts";

export interface MultipartUpload {
  readonly metadata: string;
  readonly content: Buffer;
}

/** A `multipart/related` body of two parts: metadata in JSON, then content. */
export function parseMultipart(body: Buffer, contentType: string): MultipartUpload {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const name = boundary?.[1] ?? boundary?.[2];
  if (name === undefined) throw badRequest("Missing boundary");
  const [metadata, content, ...more] = partsOf(body, `--${name}`);
  if (metadata === undefined || content === undefined || more.length > 0) throw badRequest("Malformed multipart body.");
  return { metadata: metadata.toString(), content };
}

function partsOf(body: Buffer, delimiter: string): readonly Buffer[] {
  const parts: Buffer[] = [];
  let at = body.indexOf(delimiter);
  while (at >= 0) {
    const begin = at + delimiter.length;
    at = body.indexOf(`\r\n${delimiter}`, begin);
    if (at < 0) break;
    const content = body.indexOf("\r\n\r\n", begin);
    if (content < 0 || content + 4 > at) throw badRequest("Malformed multipart body.");
    parts.push(body.subarray(content + 4, at));
    at += 2;
  }
  return parts;
}
