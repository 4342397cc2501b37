import type { IncomingHttpHeaders } from "node:http";
import { ApiError, badRequest } from "./api-error.ts";
import type { Bucket, ObjectMetadata, StoredObject } from "./bucket.ts";
import { announcedChecksums } from "./checksums.ts";

const granularity = 256 * 1024;

export interface SessionRequest {
  readonly bucket: Bucket;
  readonly name: string;
  readonly metadata: ObjectMetadata;
  readonly query: URLSearchParams;
  readonly keyDigest: string | undefined;
}

/** A resumable upload: a PUT with a `Content-Range` adds to it, finishes it, or asks how far it is. */
export class UploadSession {
  readonly #request: SessionRequest;
  readonly #pieces: Buffer[] = [];
  #size = 0;
  #finished: StoredObject | undefined;

  constructor(request: SessionRequest) {
    this.#request = request;
  }

  /** The bytes that are safe here. */
  get size(): number {
    return this.#size;
  }

  /**
   * Gives the object once it is finished, before that undefined.
   * @param isBroken the request ended early: its bytes count up to the last multiple of 256 KiB
   */
  put(body: Buffer, headers: IncomingHttpHeaders, isBroken: boolean): StoredObject | undefined {
    if (this.#finished !== undefined) return this.#finished;
    const range = headers["content-range"] ?? `bytes 0-${body.length - 1}/${body.length}`;
    const asked = /^bytes \*\/(\*|\d+)$/.exec(range);
    if (asked !== null) return Number(asked[1]) === this.#size && !isBroken ? this.#finish(headers) : undefined;
    const sent = /^bytes (\d+)-(\d+)\/(\*|\d+)$/.exec(range);
    if (sent === null) throw badRequest("Failed to parse Content-Range header.");
    const [begin, last] = [Number(sent[1]), Number(sent[2])];
    if (!isBroken && last - begin + 1 !== body.length) {
      throw badRequest(`Invalid request. There were ${body.length} byte(s) in the request body.`);
    }
    if (begin > this.#size) {
      throw new ApiError(503, "backendError", `Invalid request. The upload offset ${begin} exceeds ${this.#size}.`);
    }
    const isLast = !isBroken && Number(sent[3]) === last + 1;
    this.#add(body.subarray(this.#size - begin), isLast, isBroken);
    return isLast ? this.#finish(headers) : undefined;
  }

  #add(bytes: Buffer, isLast: boolean, isBroken: boolean): void {
    const end = this.#size + bytes.length;
    if (!isLast && !isBroken && end % granularity !== 0) {
      throw badRequest("Invalid request. The number of bytes uploaded is required to be a multiple of 262144.");
    }
    const kept = bytes.subarray(0, isLast ? bytes.length : Math.floor(end / granularity) * granularity - this.#size);
    this.#pieces.push(kept);
    this.#size += kept.length;
  }

  #finish(headers: IncomingHttpHeaders): StoredObject {
    const { bucket, name, metadata, query, keyDigest } = this.#request;
    this.#finished = bucket.create({
      name,
      content: Buffer.concat(this.#pieces),
      metadata: { ...metadata, ...announcedChecksums(headers) },
      query,
      keyDigest,
    });
    this.#pieces.length = 0;
    return this.#finished;
  }
}
