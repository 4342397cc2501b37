import { PgarkError } from "../errors.ts";

/**
 * A repository's URL taken apart: `s3://bucket/prefix?region=eu-central-1`. Everything that a driver must be told stands in it,
 * so that one line of configuration, one flag of archive_command, names the whole repository. Never a secret: those come from
 * each cloud's own credential chain.
 */
export interface StoreUrl {
  /** as given, for messages */
  readonly text: string;
  /** bucket or container */
  readonly bucket: string;
  /** before every key: empty, or ending in a slash */
  readonly prefix: string;
  readonly settings: UrlSettings;
}

/** Reads the part after the scheme; throws `usage` when there is no bucket, or for a setting that `known` does not name. */
export function parseStoreUrl(text: string, known: readonly string[]): StoreUrl {
  const match = /^[a-z0-9]+:\/\/([^/?#]+)\/?([^?#]*)(?:\?([^#]*))?$/i.exec(text);
  if (match === null) {
    throw badUrl(text, "not a repository URL", "it is scheme://bucket/prefix, with settings behind a question mark");
  }
  const [, bucket = "", path = "", query = ""] = match;
  const parts = path.split("/").filter((part) => part !== "");
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name)) throw badUrl(text, `unknown setting "${name}"`, `there are: ${known.join(", ")}`);
    if (values.has(name)) throw badUrl(text, `the setting "${name}" is given twice`, "give it once");
    values.set(name, value);
  }
  return {
    text,
    bucket: decodeURIComponent(bucket),
    prefix: parts.map((part) => `${decodeURIComponent(part)}/`).join(""),
    settings: new UrlSettings(text, values),
  };
}

/** Typed access to the settings of a URL; each throws `usage` for a value that it cannot be. */
export class UrlSettings {
  readonly #text: string;
  readonly #values: ReadonlyMap<string, string>;

  constructor(text: string, values: ReadonlyMap<string, string>) {
    this.#text = text;
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === "" ? undefined : value;
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return this.#values.has(name) ? true : undefined;
    if (["yes", "true", "on", "1"].includes(value)) return true;
    if (["no", "false", "off", "0"].includes(value)) return false;
    throw badUrl(this.#text, `the setting "${name}" is yes or no, not "${value}"`, "write yes or no");
  }

  number(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^\d{1,9}$/.test(value)) return Number(value);
    throw badUrl(this.#text, `the setting "${name}" is a whole number, not "${value}"`, "write digits only");
  }

  oneOf<T extends string>(name: string, ...allowed: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw badUrl(this.#text, `the setting "${name}" cannot be "${value}"`, `it is one of ${allowed.join(", ")}`);
  }
}

function badUrl(text: string, problem: string, hint: string): PgarkError {
  return new PgarkError("usage", problem, { operation: "open repository", object: text, hint });
}
