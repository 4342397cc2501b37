import { ApiError, badRequest, conditionNotMet, noObject } from "./api-error.ts";
import { checksumsOf, compareChecksums } from "./checksums.ts";
import type { Checksums } from "./checksums.ts";

/** The fields of an object that a client may set. */
export interface ObjectMetadata extends Checksums {
  readonly name?: string;
  readonly contentType?: string;
  readonly storageClass?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retention?: { readonly mode: string; readonly retainUntilTime: string };
}

export interface StoredObject extends Omit<ObjectMetadata, "name"> {
  readonly kind: "storage#object";
  readonly name: string;
  readonly bucket: string;
  readonly generation: string;
  readonly metageneration: string;
  readonly size: string;
  readonly timeCreated: string;
  readonly updated: string;
  readonly kmsKeyName?: string;
}

export interface NewObject {
  readonly name: string;
  readonly content: Buffer;
  readonly metadata: ObjectMetadata;
  /** of the request that made it: preconditions and the KMS key */
  readonly query: URLSearchParams;
  /** SHA-256 of the customer's key, when there is one */
  readonly keyDigest: string | undefined;
}

interface Entry {
  readonly resource: StoredObject;
  readonly content: Buffer;
  readonly keyDigest: string | undefined;
}

/** The objects of one bucket, in memory. All methods are synchronous: nothing can come between a condition and its write. */
export class Bucket {
  readonly name: string;
  readonly #objects = new Map<string, Entry>();
  #lastGeneration = 0;

  constructor(name: string) {
    this.name = name;
  }

  create({ name, content, metadata, query, keyDigest }: NewObject): StoredObject {
    if (name === "" || Buffer.byteLength(name) > 1024 || /[\r\n]/.test(name)) throw badRequest("Invalid object name");
    this.checkPreconditions(name, query);
    this.#refuseRetained(name);
    const checksums = checksumsOf(content);
    compareChecksums(metadata, checksums);
    this.#lastGeneration = Math.max(Date.now() * 1000, this.#lastGeneration + 1);
    const now = new Date().toISOString();
    const kmsKeyName = query.get("kmsKeyName");
    const resource: StoredObject = {
      contentType: "application/octet-stream",
      storageClass: "STANDARD",
      ...metadata,
      ...checksums,
      ...(kmsKeyName === null ? {} : { kmsKeyName }),
      kind: "storage#object",
      name,
      bucket: this.name,
      generation: String(this.#lastGeneration),
      metageneration: "1",
      size: String(content.length),
      timeCreated: now,
      updated: now,
    };
    this.#objects.set(name, { resource, content, keyDigest });
    return resource;
  }

  find(name: string): Entry {
    const entry = this.#objects.get(name);
    if (entry === undefined) throw noObject(this.name, name);
    return entry;
  }

  delete(name: string, query: URLSearchParams): void {
    this.find(name);
    this.checkPreconditions(name, query);
    this.#refuseRetained(name);
    this.#objects.delete(name);
  }

  /** All objects in byte order of their names. */
  sorted(): readonly StoredObject[] {
    return [...this.#objects.values()]
      .map(({ resource }) => resource)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  checkPreconditions(name: string, query: URLSearchParams): void {
    const wanted = query.get("ifGenerationMatch");
    if (wanted === null) return;
    if (!/^\d+$/.test(wanted)) throw badRequest(`Invalid value for ifGenerationMatch: ${wanted}`);
    if ((this.#objects.get(name)?.resource.generation ?? "0") !== wanted) throw conditionNotMet();
  }

  #refuseRetained(name: string): void {
    const until = this.#objects.get(name)?.resource.retention?.retainUntilTime;
    if (until === undefined || Date.parse(until) <= Date.now()) return;
    const object = `Object '${this.name}/${name}'`;
    const problem = `${object} is subject to object retention and cannot be deleted or overwritten until ${until}`;
    throw new ApiError(403, "retentionPolicyNotMet", problem);
  }
}
