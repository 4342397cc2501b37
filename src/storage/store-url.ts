import { PgarkError } from "../errors.ts";

/**
 * A repository's URL taken apart: `s3://bucket/prefix?region=eu-central-1`. Everything that a driver must be told stands in it,
 * so that one line of configuration, one flag of archive_command, names the whole repository. Never a secret: those come from
 * each cloud's own credential chain. Should somebody write one in all the same, no message repeats it.
 */
export interface StoreUrl {
  /** for messages: without settings, and without what might be a password */
  readonly text: string;
  /** bucket or container */
  readonly bucket: string;
  /** before every key: empty, or ending in a slash */
  readonly prefix: string;
  readonly settings: UrlSettings;
}

/**
 * Reads the URL; throws `usage` when there is no bucket, or for a setting that `known` does not name. Bucket, prefix and values
 * may be percent-encoded; a plus is a plus.
 */
export function parseStoreUrl(text: string, known: readonly string[]): StoreUrl {
  const shown = withoutSecrets(text);
  const match = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]+)\/?([^?#]*)(?:\?([^#]*))?$/i.exec(text);
  if (match === null) {
    throw badUrl(shown, "not a repository URL", "it is scheme://bucket/prefix, with settings behind a question mark");
  }
  const [, bucket = "", path = "", query = ""] = match;
  if (/[@:]/.test(bucket)) {
    throw badUrl(
      shown,
      "a repository's URL holds no credentials",
      "leave out what stands before the @; credentials come from the environment, a profile or a role",
    );
  }
  const decode = (part: string): string => decoded(part, shown);
  const parts = path.split("/").filter((part) => part !== "");
  return {
    text: shown,
    bucket: decode(bucket),
    prefix: parts.map((part) => `${decode(part)}/`).join(""),
    settings: new UrlSettings(shown, readQuery(query, known, shown, decode)),
  };
}

function readQuery(
  query: string,
  known: readonly string[],
  shown: string,
  decode: (part: string) => string,
): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const setting of query.split("&").filter((part) => part !== "")) {
    const equals = setting.indexOf("=");
    const name = decode(equals === -1 ? setting : setting.slice(0, equals));
    const value = equals === -1 ? "" : decode(setting.slice(equals + 1));
    if (!known.includes(name)) throw badUrl(shown, `unknown setting "${name}"`, `there are: ${known.join(", ")}`);
    if (values.has(name)) throw badUrl(shown, `the setting "${name}" is given twice`, "give it once");
    values.set(name, value);
  }
  return values;
}

function decoded(part: string, shown: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badUrl(shown, "a percent sign that encodes nothing", "write a percent sign itself as %25");
  }
}

/** A URL as it may be shown to anybody. */
function withoutSecrets(text: string): string {
  return text.replace(/[?#].*$/s, "").replace(/^([a-z0-9+.-]*:\/*)?.*@/is, "$1***@");
}

/** Typed access to the settings of a URL; each throws `usage` for a value that it cannot be. */
export class UrlSettings {
  readonly #text: string;
  readonly #values: ReadonlyMap<string, string>;

  constructor(text: string, values: ReadonlyMap<string, string>) {
    this.#text = text;
    this.#values = values;
  }

  /** undefined also for a setting without a value */
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === "" ? undefined : value;
  }

  /** A name alone means yes. */
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
