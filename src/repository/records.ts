import { createHash } from "node:crypto";
import { PgarkError } from "../errors.ts";
import type { ObjectStore, SignalOption } from "../storage/object-store.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { parseLsn } from "../postgres/lsn.ts";
import { formatVersion } from "./layout.ts";

/** Small JSON objects in the clear: `cluster.json`, `identity.json`, `backup.json`. LSNs and identifiers are strings in them. */
export type JsonRecord = Readonly<Record<string, unknown>>;

const damaged =
  "the record is damaged: put it back from a copy of the repository; it is small, and pgark never changes it";

/** What ends a record: the digest of all bytes before these. Nothing else protects a record, and a wrong LSN in one costs data. */
function ending(before: Uint8Array): string {
  return `,\n  "sha256": "${createHash("sha256").update(before).digest("hex")}"\n}\n`;
}

export function encodeRecord(fields: JsonRecord): Uint8Array {
  const text = JSON.stringify({ format: formatVersion, ...fields }, undefined, 2);
  const before = Buffer.from(text.slice(0, text.lastIndexOf("\n}")));
  return Buffer.concat([before, Buffer.from(ending(before))]);
}

/** Reads a record and checks its format; a newer one is refused by name. */
export async function readRecord(store: ObjectStore, key: string, options: SignalOption): Promise<FieldReader> {
  return decodeRecord(key, await store.get(key, options));
}

export function decodeRecord(key: string, bytes: Uint8Array): FieldReader {
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new PgarkError("corrupt", "not JSON", { operation: "read record", object: key, cause: error, hint: damaged });
  }
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw new PgarkError("corrupt", "not a JSON object", { operation: "read record", object: key, hint: damaged });
  }
  const reader = new FieldReader(key, fields as JsonRecord);
  checkFormat(key, reader.number("format"));
  checkDigest(key, bytes);
  return reader;
}

function checkDigest(key: string, bytes: Uint8Array): void {
  const record = Buffer.from(bytes);
  const before = record.subarray(0, Math.max(0, record.length - ending(record).length));
  if (record.subarray(before.length).equals(Buffer.from(ending(before)))) return;
  throw new PgarkError("corrupt", "its digest does not hold", { operation: "read record", object: key, hint: damaged });
}

/** Refuses what a newer pgark wrote. */
export function checkFormat(key: string, format: number): void {
  if (format <= formatVersion) return;
  throw new PgarkError("newer-format", `it is of format ${format}, and this pgark reads up to ${formatVersion}`, {
    operation: "read record",
    object: key,
    hint: "use the version of pgark that wrote it, or a later one",
  });
}

/** Takes typed fields out of a record; throws `corrupt` with the field's name when one is missing or of another type. */
export class FieldReader {
  readonly key: string;
  readonly #fields: JsonRecord;

  constructor(key: string, fields: JsonRecord) {
    this.key = key;
    this.#fields = fields;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined && this.#fields[name] !== null;
  }

  string(name: string): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : this.#fail(name, "text");
  }

  number(name: string): number {
    const value = this.#fields[name];
    return typeof value === "number" && Number.isSafeInteger(value) ? value : this.#fail(name, "a whole number");
  }

  /** A number in text that may be larger than JSON's numbers are exact. */
  bigint(name: string): bigint {
    const text = this.string(name);
    return /^\d{1,20}$/.test(text) ? BigInt(text) : this.#fail(name, "a whole number in text");
  }

  lsn(name: string): Lsn {
    const text = this.string(name);
    return /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/.test(text) ? parseLsn(text) : this.#fail(name, "an LSN");
  }

  boolean(name: string): boolean {
    const value = this.#fields[name];
    return typeof value === "boolean" ? value : this.#fail(name, "true or false");
  }

  date(name: string): Date {
    const date = new Date(this.string(name));
    return Number.isNaN(date.getTime()) ? this.#fail(name, "a date") : date;
  }

  oneOf<T extends string>(name: string, ...values: readonly T[]): T {
    const found = values.find((value) => value === this.#fields[name]);
    return found ?? this.#fail(name, values.join(" or "));
  }

  strings(name: string): readonly string[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) return this.#fail(name, "a list");
    return value.map((item: unknown) => (typeof item === "string" ? item : this.#fail(name, "a list of texts")));
  }

  record(name: string): FieldReader {
    const value = this.#fields[name];
    if (typeof value !== "object" || value === null || Array.isArray(value)) return this.#fail(name, "an object");
    return new FieldReader(`${this.key}: ${name}`, value as JsonRecord);
  }

  records(name: string): readonly FieldReader[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) return this.#fail(name, "a list");
    return value.map((item: unknown) => {
      if (typeof item !== "object" || item === null) return this.#fail(name, "a list of objects");
      return new FieldReader(`${this.key}: ${name}`, item as JsonRecord);
    });
  }

  #fail(name: string, wanted: string): never {
    throw new PgarkError("corrupt", `the field "${name}" is not ${wanted}`, {
      operation: "read record",
      object: this.key,
      hint: damaged,
    });
  }
}
