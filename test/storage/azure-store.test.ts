import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { ContainerClient, ContainerSASPermissions, StorageSharedKeyCredential } from "@azure/storage-blob";
import { generateBlobSASQueryParameters } from "@azure/storage-blob";
import { beforeAll, describe, expect, test } from "vitest";
import { openAzureStore } from "../../src/storage/drivers/azure/azure-store.ts";
import type { AzureStore } from "../../src/storage/drivers/azure/azure-store.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { startAzurite } from "../helpers/azurite.ts";
import type { Azurite } from "../helpers/azurite.ts";
import { firstly, startRelay } from "./azure-relay.ts";
import { describeStore } from "./store-conformance.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
let azurite: Azurite;

beforeAll(async () => {
  azurite = await startAzurite();
});

describeStore("the Azure driver", async () => {
  const { containerName } = await azurite.createContainer();
  const url = `azure://${containerName}/some/prefix`;
  const connection = `AccountName=${azurite.account};AccountKey=${azurite.key};BlobEndpoint=${azurite.endpoint};`;
  return {
    store: await openStore(`${url}?endpoint=${azurite.endpoint}`, { environment: azurite.env }),
    second: await openStore(url, { environment: { AZURE_STORAGE_CONNECTION_STRING: connection } }),
  };
});

describe("the Azure driver", () => {
  test("keeps to its prefix", async () => {
    const container = await azurite.createContainer();
    const [inner, other] = [await open(container, { prefix: "a/b" }), await open(container, { prefix: "a/bc" })];
    await inner.put("object", pattern(1), ifAbsent);
    await other.put("other", pattern(2), ifAbsent);
    expect(await keys(inner, "")).toEqual(["object"]);
    expect(await keys(await open(container), "")).toEqual(["a/b/object", "a/bc/other"]);
    expect(await (await open(container)).listFolders("a/")).toEqual(["a/b/", "a/bc/"]);
    await other.delete(["object"]);
    expect(await keys(inner, "")).toEqual(["object"]);
  });

  test("lists in byte order what the service has in the order of UTF-16, and after any of it", async () => {
    const store = await open(await azurite.createContainer());
    const sorted = ["a", "b/z", "b/\u{e000}", "b/\u{fffd}/x", "b/😀", "b/😀/y", "c", "\u{fffd}", "😀"];
    for (const key of sorted) await store.put(key, pattern(1), ifAbsent);
    expect(await keys(store, "")).toEqual(sorted);
    expect(await keys(store, "b/")).toEqual(sorted.slice(1, 6));
    for (const [position, key] of sorted.entries()) {
      expect(await keys(store, "", { startAfter: key })).toEqual(sorted.slice(position + 1));
    }
  });

  test("deletes more objects than go into one batch", async () => {
    const store = await open(await azurite.createContainer());
    const written = Array.from({ length: 300 }, (_, index) => `${index} % & +`);
    for (const key of written) await store.put(key, pattern(1), ifAbsent);
    await store.delete([...written, "missing", "0 % & +"]);
    expect(await keys(store, "")).toEqual([]);
  });

  test("deletes one by one where the service takes no batches, and does not ask for them again", async () => {
    const container = await azurite.createContainer();
    await using relay = await startRelay(azurite.endpoint);
    const store = await open(container, { endpoint: relay.address });
    for (const key of ["a", "b", "c", "d"]) await store.put(key, pattern(1), ifAbsent);
    const isBatch = ({ path }: { readonly path: string }): boolean => path.includes("comp=batch");
    relay.fault = firstly(Infinity, { status: 403, code: "AuthorizationFailure" }, isBatch);
    await store.delete(["a", "missing", "b"]);
    await store.delete(["c", "d"]);
    expect(await keys(store, "")).toEqual([]);
    expect(relay.seen.filter(isBatch)).toHaveLength(1);
  });

  test("does not commit what another upload of the same key sent", async () => {
    const store = await open(await azurite.createContainer());
    const { partSize } = store.capabilities;
    const [one, two] = [await store.beginUpload("object", ifAbsent), await store.beginUpload("object", ifAbsent)];
    await one.part(0, new Uint8Array(partSize).fill(1));
    await two.part(0, new Uint8Array(partSize).fill(2));
    await one.part(1, Uint8Array.of(1));
    await two.part(1, Uint8Array.of(2));
    expect(await Promise.all([codeOf(one.complete()), codeOf(two.complete())])).toEqual(["done", "exists"]);
    expect(new Set(await store.get("object"))).toEqual(new Set([1]));
  });

  test("refuses to complete an upload that lacks a part", async () => {
    const store = await open(await azurite.createContainer());
    const upload = await store.beginUpload("object", ifAbsent);
    await upload.part(1, pattern(10));
    expect(await codeOf(upload.complete())).toBe("refused");
    expect(await keys(store, "")).toEqual([]);
  });

  test("takes a last part without a byte", async () => {
    const store = await open(await azurite.createContainer());
    const upload = await store.beginUpload("object", ifAbsent);
    await upload.part(0, new Uint8Array(store.capabilities.partSize));
    await upload.part(1, new Uint8Array());
    await upload.complete();
    expect((await store.head("object")).size).toBe(store.capabilities.partSize);
  });

  test("passes over the folders that a hierarchical namespace lists as empty objects", async () => {
    const container = await azurite.createContainer();
    const store = await open(container);
    await container.getBlockBlobClient("folder").upload("", 0, { metadata: { hdi_isfolder: "true" } });
    await store.put("folder/empty", new Uint8Array(), ifAbsent);
    expect(await keys(store, "")).toEqual(["folder/empty"]);
  });

  test("writes with the tier, tags, encryption scope and lock of the URL, by put and by upload", async () => {
    const container = await azurite.createContainer();
    await using relay = await startRelay(azurite.endpoint);
    const settings = "tier=Cool&tags=team%3Ddb%26copy%3D1&encryption-scope=ours&lock-mode=Locked&lock-days=30";
    const store = await open(container, { endpoint: relay.address, settings, now: () => Date.UTC(2026, 0, 1) });
    await store.put("small", pattern(1), ifAbsent);
    const upload = await store.beginUpload("large", ifAbsent);
    await upload.part(0, pattern(store.capabilities.partSize));
    await upload.complete();
    for (const key of ["small", "large"]) {
      const properties = await container.getBlobClient(key).getProperties();
      expect(properties.accessTier).toBe("Cool");
      expect((await container.getBlobClient(key).getTags()).tags).toEqual({ team: "db", copy: "1" });
    }
    const writes = relay.seen.filter(({ path }) => !path.includes("comp=block&"));
    expect(writes).toHaveLength(2);
    for (const { headers } of writes) {
      expect(headers).toMatchObject({
        "if-none-match": "*",
        "x-ms-immutability-policy-mode": "Locked",
        "x-ms-immutability-policy-until-date": "Sat, 31 Jan 2026 00:00:00 GMT",
      });
    }
    expect(relay.seen.map(({ headers }) => headers["x-ms-encryption-scope"])).toEqual(["ours", "ours", "ours"]);
  });

  test("goes through the proxy that the environment names", async () => {
    const container = await azurite.createContainer();
    await using proxy = await startRelay(azurite.endpoint);
    const store = await open(container, { env: { ...azurite.env, HTTP_PROXY: proxy.address } });
    await store.put("object", pattern(1), ifAbsent);
    const direct = await open(container, { env: { ...azurite.env, HTTP_PROXY: proxy.address, NO_PROXY: "127.0.0.1" } });
    expect(await direct.get("object")).toHaveLength(1);
    expect(proxy.seen).toMatchObject([
      { method: "PUT", path: `/${azurite.account}/${container.containerName}/object` },
    ]);
  });
});

describe("the Azure driver's credentials", () => {
  test("may be a SAS for one container", async () => {
    const container = await azurite.createContainer();
    const store = await open(container, { env: sas(container, "racwdl") });
    await store.put("a", pattern(5), ifAbsent);
    const upload = await store.beginUpload("b", ifAbsent);
    await upload.part(0, pattern(store.capabilities.partSize));
    await upload.complete();
    expect(await store.get("a")).toHaveLength(5);
    expect(await keys(store, "")).toEqual(["a", "b"]);
    await store.delete(["a", "b"]);
    expect(await keys(store, "")).toEqual([]);
  });

  test.each([
    ["a wrong key", () => ({ ...azurite.env, AZURE_STORAGE_KEY: Buffer.alloc(64, 1).toString("base64") })],
    ["a SAS that has expired", (container: ContainerClient) => sas(container, "racwdl", -60)],
    ["a SAS for another container", () => sas(new ContainerClient(`${azurite.endpoint}/other`), "racwdl")],
    ["an account that is not there", () => ({ ...azurite.env, AZURE_STORAGE_ACCOUNT: "nobody" })],
  ])("denied: %s, for every operation, with a hint and no secret", async (_what, environment) => {
    const container = await azurite.createContainer();
    const env: Readonly<Record<string, string>> = environment(container);
    const store = await open(container, { env });
    const upload = await store.beginUpload("object", ifAbsent);
    const attempts: readonly (() => Promise<unknown>)[] = [
      () => store.put("object", pattern(1), ifAbsent),
      () => upload.part(0, pattern(store.capabilities.partSize)),
      () => store.get("object"),
      () => store.get("object", { range: { offset: 5, length: 5 } }),
      () => store.head("object"),
      () => keys(store, ""),
      () => store.listFolders(""),
      () => store.delete(["object"]),
      () => store.delete(["object", "other"]),
    ];
    for (const attempt of attempts) {
      const error: unknown = await attempt().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "denied", hint: expect.stringMatching(/SAS|key/) as string });
      expect(holdsSecret(error, env)).toBe(false);
    }
  });

  test("denied: a write with a SAS that lets only read", async () => {
    const container = await azurite.createContainer();
    await (await open(container)).put("object", pattern(1), ifAbsent);
    const store = await open(container, { env: sas(container, "rl") });
    expect(await store.get("object")).toHaveLength(1);
    await expect(store.put("new", pattern(1), ifAbsent)).rejects.toMatchObject({
      code: "denied",
      hint: expect.stringContaining("sp=racwdl") as string,
    });
    expect(await codeOf(store.delete(["object"]))).toBe("denied");
    expect(await codeOf(store.delete(["object", "other"]))).toBe("denied");
    expect(await keys(store, "")).toEqual(["object"]);
  });

  test("do not make a missing container an empty one", async () => {
    const store = await open(new ContainerClient(`${azurite.endpoint}/missing-${randomUUID()}`));
    const attempts: readonly (() => Promise<unknown>)[] = [
      () => store.put("object", pattern(1), ifAbsent),
      () => store.get("object"),
      () => store.head("object"),
      () => keys(store, ""),
      () => store.listFolders(""),
      () => store.delete(["object"]),
      () => store.delete(["object", "other"]),
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toMatchObject({
        code: "usage",
        hint: "create the container, or correct its name in the repository's URL",
      });
    }
  });
});

interface OpenOptions {
  readonly endpoint?: string;
  readonly prefix?: string;
  readonly settings?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly now?: () => number;
}

function open(container: ContainerClient, options: OpenOptions = {}): Promise<AzureStore> {
  const { endpoint, prefix = "", settings = "", env = azurite.env, now } = options;
  const at = endpoint === undefined ? azurite.endpoint : `${endpoint}/${azurite.account}`;
  const url = `azure://${container.containerName}/${prefix}?endpoint=${at}&${settings}`;
  return openAzureStore(url, env, { firstDelayMs: 1, ...(now === undefined ? {} : { now }) });
}

/** A SAS for `container` as the environment gives it; valid for an hour, or until so many seconds from now. */
function sas(container: ContainerClient, permissions: string, seconds = 3600): Record<string, string> {
  const parameters = generateBlobSASQueryParameters(
    {
      containerName: container.containerName,
      permissions: ContainerSASPermissions.parse(permissions),
      expiresOn: new Date(Date.now() + seconds * 1000),
    },
    new StorageSharedKeyCredential(azurite.account, azurite.key),
  );
  return { AZURE_STORAGE_SAS_TOKEN: parameters.toString() };
}

function holdsSecret(error: unknown, env: Readonly<Record<string, string>>): boolean {
  const shown = `${inspect(error, { depth: 20, showHidden: true })} ${JSON.stringify(error)}`;
  const signature = new URLSearchParams(env["AZURE_STORAGE_SAS_TOKEN"]).get("sig");
  const secrets = [env["AZURE_STORAGE_KEY"], signature, signature === null ? null : encodeURIComponent(signature)];
  return secrets.some((secret) => typeof secret === "string" && shown.includes(secret));
}
