import type { ContainerClient, ContainerListBlobFlatSegmentResponse } from "@azure/storage-blob";
import { isPgarkError, PgarkError } from "../../../errors.ts";
import type { ListOptions, ObjectInfo, SignalOption } from "../../object-store.ts";
import { abortable } from "./azure-requests.ts";
import type { AzureRequests } from "./azure-requests.ts";

/** The most that the service gives at once. */
const pageSize = 5000;

export interface AzureListing {
  readonly container: ContainerClient;
  readonly requests: AzureRequests;
  /** before every key */
  readonly prefix: string;
}

/** The objects below `prefix`, page by page, in byte order of their keys; holds one page at a time. */
export async function* listObjects(
  listing: AzureListing,
  prefix: string,
  options: ListOptions,
): AsyncIterable<ObjectInfo> {
  let last = options.startAfter;
  for await (const object of inByteOrder(pages(listing, prefix, options))) {
    if (options.startAfter !== undefined && compareKeys(object.key, options.startAfter) <= 0) continue;
    if (last !== undefined && compareKeys(object.key, last) <= 0) throw outOfOrder(last, object.key);
    last = object.key;
    yield object;
  }
}

/** The next path components below `prefix`, with their slashes, in byte order. */
export async function listFolders(
  { container, requests, prefix: root }: AzureListing,
  prefix: string,
  { signal }: SignalOption,
): Promise<readonly string[]> {
  const folders = new Set<string>();
  let token: string | undefined;
  do {
    const page = await requests.run({ operation: "list objects", key: prefix, signal }, async () => {
      const blobs = container.listBlobsByHierarchy("/", { prefix: root + prefix, ...abortable(signal) });
      const answer = await blobs.byPage({ maxPageSize: pageSize, ...continuing(token) }).next();
      return answer.done === true ? undefined : answer.value;
    });
    for (const { name } of page?.segment.blobPrefixes ?? []) folders.add(name.slice(root.length));
    token = nextToken(page?.continuationToken);
  } while (token !== undefined);
  return [...folders].sort(compareKeys);
}

async function* pages(listing: AzureListing, prefix: string, options: ListOptions): AsyncIterable<ObjectInfo> {
  const { container, requests, prefix: root } = listing;
  const { signal } = options;
  const startFrom = startingPoint(prefix, options.startAfter);
  let token: string | undefined;
  do {
    const page: ContainerListBlobFlatSegmentResponse | undefined = await requests.run(
      { operation: "list objects", key: prefix, signal },
      async () => {
        const blobs = container.listBlobsFlat({
          prefix: root + prefix,
          ...(startFrom === undefined ? {} : { startFrom: root + startFrom }),
          ...abortable(signal),
        });
        const answer = await blobs.byPage({ maxPageSize: pageSize, ...continuing(token) }).next();
        return answer.done === true ? undefined : answer.value;
      },
    );
    for (const { name, properties } of page?.segment.blobItems ?? []) {
      const size = properties.contentLength ?? 0;
      if (size === 0 && (await isFolder(listing, name, signal))) continue;
      yield { key: name.slice(root.length), size, modified: properties.lastModified };
    }
    token = nextToken(page?.continuationToken);
  } while (token !== undefined);
}

/**
 * Accounts with a hierarchical namespace list their folders among the objects: empty, and marked in the metadata. What was
 * deleted since is no object either.
 */
async function isFolder(listing: AzureListing, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  const { container, requests, prefix } = listing;
  try {
    const request = { operation: "list objects", key: name.slice(prefix.length), signal };
    const { metadata } = await requests.run(request, () =>
      container.getBlobClient(name).getProperties(abortable(signal)),
    );
    return metadata?.["hdi_isfolder"] === "true";
  } catch (error) {
    if (isPgarkError(error, "not-found")) return true;
    throw error;
  }
}

/**
 * Where the service may begin, so that nothing after `startAfter` is left out; it counts the beginning in, and an old one
 * passes over it. What follows a character beyond U+D7FF may stand elsewhere in its order than in ours.
 */
function startingPoint(prefix: string, startAfter: string | undefined): string | undefined {
  if (startAfter === undefined) return undefined;
  const end = startAfter.search(orderedOtherwise);
  const start = end < 0 ? startAfter : startAfter.slice(0, end);
  return start.length > prefix.length && start.startsWith(prefix) ? start : undefined;
}

/** From here on the order of UTF-16, which services written in some languages keep, is not that of UTF-8. */
const orderedOtherwise = /[\ud800-\uffff]/;

/**
 * Puts a list that is in the order of UTF-16 into byte order. The two differ only among keys that are the same up to a
 * character beyond U+D7FF; those follow one another in both, so only they are held back.
 */
async function* inByteOrder(objects: AsyncIterable<ObjectInfo>): AsyncIterable<ObjectInfo> {
  let held: ObjectInfo[] = [];
  let common = "";
  for await (const object of objects) {
    const end = object.key.search(orderedOtherwise);
    if (held.length > 0 && (end < 0 || object.key.slice(0, end) !== common)) {
      yield* held.sort((a, b) => compareKeys(a.key, b.key));
      held = [];
    }
    if (end < 0) {
      yield object;
    } else {
      common = object.key.slice(0, end);
      held.push(object);
    }
  }
  yield* held.sort((a, b) => compareKeys(a.key, b.key));
}

/** A wrong order would hide objects from whoever relies on it; better to say so. */
function outOfOrder(before: string, key: string): PgarkError {
  return new PgarkError("refused", `the store lists "${key}" after "${before}"`, {
    operation: "list objects",
    object: key,
    hint: "an account with a hierarchical namespace does that: use one without",
  });
}

function continuing(token: string | undefined): { continuationToken?: string } {
  return token === undefined ? {} : { continuationToken: token };
}

/** The last page says so by an empty one. */
function nextToken(token: string | undefined): string | undefined {
  return token === "" ? undefined : token;
}

function compareKeys(a: string, b: string): number {
  if (!orderedOtherwise.test(a) && !orderedOtherwise.test(b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
