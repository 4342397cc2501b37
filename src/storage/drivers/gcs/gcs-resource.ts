import { PgarkError } from "../../../errors.ts";
import type { HttpAnswer } from "./gcs-http.ts";

/** What the service tells about an object; only the fields that were asked for. */
export interface ObjectResource {
  readonly name: string;
  /** bytes, in digits */
  readonly size: string;
  readonly timeCreated: string;
  readonly generation?: string;
  readonly crc32c?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface ObjectPage {
  readonly items?: readonly ObjectResource[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

export function objectResource(answer: HttpAnswer, operation: string, key: string): ObjectResource {
  const resource = json(answer, operation, key) as Partial<ObjectResource>;
  const { name, size, timeCreated } = resource;
  if (name === undefined || size === undefined || timeCreated === undefined) throw foreign(operation, key);
  return { ...resource, name, size, timeCreated };
}

export function objectPage(answer: HttpAnswer, operation: string, key: string): ObjectPage {
  const page = json(answer, operation, key) as ObjectPage & { readonly kind?: string };
  // Without it an empty list would look like any empty answer.
  if (page.kind !== "storage#objects") throw foreign(operation, key);
  return page;
}

function json({ body }: HttpAnswer, operation: string, key: string): unknown {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw foreign(operation, key, error);
  }
  throw foreign(operation, key);
}

/** Something between here and the store may answer 200 with a page of its own. */
function foreign(operation: string, key: string, cause?: unknown): PgarkError {
  const hint = "something other than Cloud Storage answered: check the endpoint and proxies";
  return new PgarkError("unavailable", "this is no answer of Cloud Storage", { operation, object: key, hint, cause });
}
