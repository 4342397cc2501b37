import type { ContainerClient } from "@azure/storage-blob";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openAzureStore } from "../../src/storage/drivers/azure/azure-store.ts";
import type { AzureStore } from "../../src/storage/drivers/azure/azure-store.ts";
import type { AzureTuning } from "../../src/storage/drivers/azure/azure-tuning.ts";
import { startAzurite } from "../helpers/azurite.ts";
import type { Azurite } from "../helpers/azurite.ts";
import { firstly, startRelay } from "./azure-relay.ts";
import type { Fault, Relay, SeenRequest } from "./azure-relay.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
let azurite: Azurite;
let relay: Relay;
let container: ContainerClient;
let store: AzureStore;

beforeAll(async () => {
  azurite = await startAzurite();
  relay = await startRelay(azurite.endpoint);
});

beforeEach(async () => {
  relay.fault = () => undefined;
  container = await azurite.createContainer();
  store = await open();
});

const transient: readonly Fault[] = [
  { status: 503, code: "ServerBusy" },
  { status: 500, code: "OperationTimedOut" },
  { status: 500, code: "InternalError" },
  { status: 502 },
  { status: 429 },
  "reset",
];

describe("the Azure driver mends", () => {
  test.each(transient)("what is over after a while, on every operation: %o", async (fault) => {
    const each = (): void => {
      relay.fault = firstly(2, fault);
    };
    each();
    await store.put("a", pattern(10), ifAbsent);
    const upload = await store.beginUpload("b", ifAbsent);
    each();
    await upload.part(0, pattern(store.capabilities.partSize));
    each();
    await upload.complete();
    each();
    expect(await store.get("a")).toEqual(Buffer.from(pattern(10)));
    each();
    expect((await store.head("a")).size).toBe(10);
    each();
    expect(await keys(store, "")).toEqual(["a", "b"]);
    each();
    expect(await store.listFolders("")).toEqual([]);
    each();
    await store.delete(["a"]);
    each();
    await store.delete(["a", "b", "c"]);
    expect(await keys(store, "")).toEqual([]);
  });

  test("a put whose answer was lost: it knows its own object", async () => {
    relay.fault = firstly(1, "answer lost", isPut);
    await store.put("object", pattern(10), ifAbsent);
    expect(await store.get("object")).toHaveLength(10);
    expect(relay.seen.filter(isPut).length).toBeGreaterThan(1);
  });

  test("a completion whose answer was lost", async () => {
    const upload = await store.beginUpload("object", ifAbsent);
    await upload.part(0, pattern(store.capabilities.partSize));
    await upload.part(1, pattern(3));
    relay.fault = firstly(1, "answer lost", isPut);
    await upload.complete();
    expect((await store.head("object")).size).toBe(store.capabilities.partSize + 3);
  });

  test("a deletion whose answer was lost", async () => {
    for (const key of ["a", "b", "c"]) await store.put(key, pattern(1), ifAbsent);
    relay.fault = firstly(1, "answer lost");
    await store.delete(["a"]);
    relay.fault = firstly(1, "answer lost");
    await store.delete(["b", "c"]);
    expect(await keys(store, "")).toEqual([]);
  });

  test.each(["body broken", "body stalled"] as const)("an answer whose body is half there: %s", async (fault) => {
    store = await open({ silenceMs: 300 });
    const body = pattern(3_000_000);
    await store.put("object", body, ifAbsent);
    relay.fault = firstly(1, fault, isGet);
    expect(Buffer.compare(await store.get("object"), body)).toBe(0);
    relay.fault = firstly(1, fault, isGet);
    const range = { offset: 1000, length: 2_000_000 };
    expect(Buffer.compare(await store.get("object", { range }), body.subarray(1000, 2_001_000))).toBe(0);
    relay.fault = firstly(1, fault, isGet);
    expect(await keys(store, "")).toEqual(["object"]);
  });

  test("a connection on which nothing comes back", async () => {
    store = await open({ silenceMs: 300 });
    relay.fault = firstly(1, "silence");
    await store.put("object", pattern(10), ifAbsent);
    expect(await store.get("object")).toHaveLength(10);
  });
});

describe("the Azure driver gives up", () => {
  test("on a service that stays busy, after the attempts it has, with the service's wish as a fact", async () => {
    store = await open({ attempts: 3 });
    const before = relay.seen.length;
    relay.fault = firstly(2, { status: 503, code: "ServerBusy" });
    await store.put("object", pattern(1), ifAbsent);
    relay.fault = firstly(Infinity, { status: 503, code: "ServerBusy" });
    expect(await codeOf(store.put("other", pattern(1), ifAbsent))).toBe("throttled");
    expect(relay.seen.length - before).toBe(6);
    store = await open({ attempts: 1 });
    relay.fault = firstly(1, { status: 503, code: "ServerBusy", headers: { "retry-after": "7" } });
    await expect(store.head("object")).rejects.toMatchObject({ code: "throttled", facts: { retryAfterMs: 7000 } });
  });

  test.each([
    [403, "AuthenticationFailed", "denied", "clock"],
    [403, "AuthorizationPermissionMismatch", "denied", "Storage Blob Data Contributor"],
    [403, "AuthorizationFailure", "denied", "firewall"],
    [403, "KeyBasedAuthenticationNotPermitted", "denied", "identity"],
    [401, "NoAuthenticationInformation", "denied", "AZURE_STORAGE_KEY"],
    [403, undefined, "denied", "Storage Blob Data Contributor"],
    [404, "ResourceNotFound", "usage", "container"],
    [400, "InvalidResourceName", "usage", "lower-case"],
    [400, "InvalidHeaderValue", "usage", "setting"],
    [412, "LeaseIdMissing", "refused", "lease"],
    [409, "BlobArchived", "refused", "archive tier"],
  ] as const)("at once where it is hopeless: %i %s is %s, and says what to do", async (status, code, meaning, hint) => {
    const before = relay.seen.length;
    relay.fault = firstly(Infinity, { status, ...(code === undefined ? {} : { code }) });
    const rejected = { code: meaning, hint: expect.stringContaining(hint) as string };
    await expect(store.put("object", pattern(1), ifAbsent)).rejects.toMatchObject(rejected);
    await expect(store.head("object")).rejects.toMatchObject(rejected);
    expect(relay.seen.length - before).toBe(2);
  });

  test("without calling not-found what somebody else than the service said", async () => {
    store = await open({ attempts: 2 });
    relay.fault = firstly(Infinity, { status: 404 });
    expect(await codeOf(store.get("object"))).toBe("unavailable");
    expect(await codeOf(store.head("object"))).toBe("unavailable");
    expect(await codeOf(store.delete(["object"]))).toBe("unavailable");
  });

  test("on a service that lists out of order, as nobody could rely on such a list", async () => {
    const blobs = ["a/b", "a-b"].map((name) => {
      const properties =
        "<Content-Length>1</Content-Length><Last-Modified>Fri, 20 Nov 2026 00:00:00 GMT</Last-Modified>";
      return `<Blob><Name>${name}</Name><Properties>${properties}</Properties></Blob>`;
    });
    const body = `<EnumerationResults><Blobs>${blobs.join("")}</Blobs><NextMarker /></EnumerationResults>`;
    relay.fault = firstly(1, { status: 200, body });
    await expect(keys(store, "")).rejects.toMatchObject({
      code: "refused",
      hint: expect.stringContaining("hierarchical namespace") as string,
    });
  });

  test("when nobody listens, with a hint", async () => {
    const closed = await startRelay(azurite.endpoint);
    await closed[Symbol.asyncDispose]();
    store = await open({ attempts: 2 }, closed.address);
    await expect(store.head("object")).rejects.toMatchObject({
      code: "unavailable",
      hint: expect.stringContaining("cannot be reached") as string,
    });
  });

  test("when it is told to, before the answer, in the midst of it and between attempts", async () => {
    await store.put("object", pattern(1_000_000), ifAbsent);
    for (const fault of ["silence", "body stalled", { status: 503, code: "ServerBusy" }] as const) {
      store = await open({ firstDelayMs: 60_000, maxDelayMs: 60_000 });
      const stop = new AbortController();
      const seen = new Promise<void>((resolve) => {
        relay.fault = () => {
          setImmediate(resolve);
          return fault;
        };
      });
      const outcome = codeOf(store.get("object", { signal: stop.signal }));
      await seen;
      stop.abort();
      expect(await outcome).toBe("aborted");
    }
  });

  test("an upload's parts that are on their way when it is aborted", async () => {
    const upload = await store.beginUpload("object", ifAbsent);
    const seen = new Promise<void>((resolve) => {
      relay.fault = () => {
        setImmediate(resolve);
        return "silence";
      };
    });
    const part = codeOf(upload.part(0, pattern(store.capabilities.partSize)));
    await seen;
    await upload.abort();
    expect(await part).toBe("aborted");
    relay.fault = () => undefined;
    expect(await keys(store, "")).toEqual([]);
  });
});

describe("the Azure driver says exists", () => {
  test("when the answer to a put was lost that another writer had forestalled", async () => {
    await store.put("object", pattern(5), ifAbsent);
    relay.fault = firstly(1, "answer lost", isPut);
    expect(await codeOf(store.put("object", pattern(6), ifAbsent))).toBe("exists");
    expect(await store.get("object")).toHaveLength(5);
  });

  test.each([
    [403, "UnauthorizedBlobOverwrite"],
    [409, "BlobImmutableDueToPolicy"],
  ])("for what a lock or missing rights protect from being written over: %i %s", async (status, code) => {
    await store.put("object", pattern(5), ifAbsent);
    const upload = await store.beginUpload("object", ifAbsent);
    await upload.part(0, pattern(store.capabilities.partSize));
    relay.fault = firstly(Infinity, { status, code }, isPut);
    expect(await codeOf(store.put("object", pattern(6), ifAbsent))).toBe("exists");
    expect(await codeOf(upload.complete())).toBe("exists");
    expect(await codeOf(store.put("object", pattern(6), { ifAbsent: false }))).not.toBe("exists");
  });

  test("when another writer's object made the service forget an upload's blocks", async () => {
    const upload = await store.beginUpload("object", ifAbsent);
    await upload.part(0, pattern(store.capabilities.partSize));
    await container.getBlockBlobClient("object").upload("theirs", 6);
    relay.fault = firstly(1, { status: 400, code: "InvalidBlockList" }, isPut);
    expect(await codeOf(upload.complete())).toBe("exists");
    expect(await store.get("object")).toHaveLength(6);
  });
});

function isPut({ method }: SeenRequest): boolean {
  return method === "PUT";
}

function isGet({ method }: SeenRequest): boolean {
  return method === "GET";
}

function open(tuning: Partial<AzureTuning> = {}, address = relay.address): Promise<AzureStore> {
  const url = `azure://${container.containerName}?endpoint=${address}/${azurite.account}`;
  return openAzureStore(url, azurite.env, { firstDelayMs: 1, ...tuning });
}
