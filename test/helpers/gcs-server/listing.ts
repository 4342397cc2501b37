import type { Bucket, StoredObject } from "./bucket.ts";
import { badRequest } from "./api-error.ts";

interface Page {
  kind: "storage#objects";
  items?: StoredObject[];
  prefixes?: string[];
  nextPageToken?: string;
}

/** One page of a list: prefix, delimiter, startOffset, maxResults, pageToken. Objects and prefixes count alike. */
export function listPage(bucket: Bucket, query: URLSearchParams): Page {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const limit = Math.min(Number(query.get("maxResults") ?? 1000) || 1000, 1000);
  const startOffset = query.get("startOffset") ?? "";
  const after = readToken(query.get("pageToken"));
  const items: StoredObject[] = [];
  const prefixes: string[] = [];
  let last: string | undefined;
  for (const object of bucket.sorted()) {
    const { name } = object;
    if (!name.startsWith(prefix) || isBefore(name, startOffset)) continue;
    const end = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
    const folder = end < 0 ? undefined : name.slice(0, end + delimiter.length);
    const position = folder ?? name;
    // A token names the object or the folder that the page before ended with.
    if (after !== undefined && !isBefore(after, position)) continue;
    if (position === last) continue;
    if (items.length + prefixes.length === limit) return page(items, prefixes, last);
    if (folder === undefined) items.push(object);
    else prefixes.push(folder);
    last = position;
  }
  return page(items, prefixes, undefined);
}

function page(items: StoredObject[], prefixes: string[], last: string | undefined): Page {
  return {
    kind: "storage#objects",
    ...(items.length === 0 ? {} : { items }),
    ...(prefixes.length === 0 ? {} : { prefixes }),
    ...(last === undefined ? {} : { nextPageToken: Buffer.from(last).toString("base64") }),
  };
}

function readToken(token: string | null): string | undefined {
  if (token === null) return undefined;
  const name = Buffer.from(token, "base64").toString();
  if (name === "") throw badRequest("Invalid argument.");
  return name;
}

function isBefore(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}
