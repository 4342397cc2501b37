import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAzureStore } from "../../src/storage/drivers/azure/azure-store.ts";
import type { AzureStore } from "../../src/storage/drivers/azure/azure-store.ts";
import { startAzurite } from "../helpers/azurite.ts";
import type { Azurite } from "../helpers/azurite.ts";
import { registerCleanup } from "../helpers/cleanup.ts";
import { keys, pattern } from "./store-probes.ts";

/** What `@azure/identity` reads by itself; nothing of the machine's own may get in. */
const identityVariables = /^(AZURE_|IDENTITY_|MSI_)/;
const saved = Object.entries(process.env).filter(([name]) => identityVariables.test(name));
let azurite: Azurite;
let identity: IdentityEndpoint;

beforeAll(async () => {
  azurite = await startAzurite({ tls: true });
  // One for all tests, since a process that has found it once does not look again.
  identity = await startIdentityEndpoint();
});

afterAll(() => setIdentity(Object.fromEntries(saved)));

describe("the Azure driver over https", () => {
  test("trusts the authority that ca-file names", async () => {
    const store = await open({ env: azurite.env });
    await store.put("object", pattern(10), { ifAbsent: true });
    expect(await store.get("object")).toHaveLength(10);
  });

  test("trusts no unknown authority, and says how to make it known", async () => {
    const store = await open({ env: azurite.env, caFile: false });
    await expect(store.head("object")).rejects.toMatchObject({
      code: "denied",
      hint: expect.stringContaining("ca-file") as string,
    });
  });

  test("says which file of authorities it cannot read", async () => {
    const url = `azure://container?endpoint=${azurite.endpoint}&ca-file=/nonexistent/ca.pem`;
    await expect(openAzureStore(url, azurite.env)).rejects.toMatchObject({ object: "/nonexistent/ca.pem" });
  });

  test("goes through the proxy that the environment names, by a tunnel", async () => {
    const proxy = await startTunnelProxy();
    const store = await open({ env: { ...azurite.env, HTTPS_PROXY: proxy.address } });
    await store.put("object", pattern(10), { ifAbsent: true });
    expect(await store.get("object")).toHaveLength(10);
    expect(proxy.asked).toEqual([new URL(azurite.endpoint).host]);
  });
});

describe("the Azure driver without key or SAS", () => {
  test("takes the machine's managed identity", async () => {
    const store = await openWithIdentity();
    await store.put("a/object", pattern(10), { ifAbsent: true });
    const upload = await store.beginUpload("a/large", { ifAbsent: true });
    await upload.part(0, pattern(store.capabilities.partSize));
    await upload.complete();
    expect(await store.get("a/object")).toHaveLength(10);
    expect(await keys(store, "")).toEqual(["a/large", "a/object"]);
    await store.delete(["a/object", "a/large"]);
    expect(await keys(store, "")).toEqual([]);
    expect(identity.asked).toEqual(["https://storage.azure.com"]);
  });

  test("gets a new token when the old one is about to expire", async () => {
    const store = await openWithIdentity({ seconds: 60 });
    for (let index = 0; identity.asked.length < 3; index++) {
      await store.put(`object ${index}`, pattern(1), { ifAbsent: true });
      await store.delete([`object ${index}`, "missing"]);
    }
    expect(await keys(store, "")).toEqual([]);
  });

  test("is denied when the service does not take the token, and shows it to nobody", async () => {
    const store = await openWithIdentity({ audience: "https://elsewhere.example" });
    const error: unknown = await store.put("object", pattern(1), { ifAbsent: true }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "denied", hint: expect.any(String) as string });
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(base64url(header).slice(0, 20));
  });

  test("tries again when the identity cannot be had for the moment", async () => {
    const store = await openWithIdentity({ failures: 1 });
    await store.put("object", pattern(1), { ifAbsent: true });
    expect(identity.asked.length).toBeGreaterThan(1);
  });

  test("says where credentials may come from when there are none at all", async () => {
    setIdentity({ AZURE_TOKEN_CREDENTIALS: "EnvironmentCredential" });
    const store = await open({ env: {} });
    await expect(store.head("object")).rejects.toMatchObject({
      code: "denied",
      hint: expect.stringContaining("AZURE_STORAGE_CONNECTION_STRING") as string,
    });
  });

  test("sends no token over plain http", async () => {
    setIdentity({});
    const opening = openAzureStore("azure://container?endpoint=http://127.0.0.1:1/account", {});
    await expect(opening).rejects.toMatchObject({ code: "usage", hint: expect.stringContaining("https") as string });
  });
});

interface OpenOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly caFile?: boolean;
}

async function open({ env, caFile = true }: OpenOptions): Promise<AzureStore> {
  const { containerName } = await azurite.createContainer();
  const authority = caFile ? `&ca-file=${azurite.caFile}` : "";
  return openAzureStore(`azure://${containerName}?endpoint=${azurite.endpoint}${authority}`, env, { attempts: 2 });
}

/** What the next tokens are like. */
interface TokenOptions {
  readonly seconds?: number;
  readonly audience?: string;
  /** how often it says 503 first */
  readonly failures?: number;
}

interface IdentityEndpoint {
  readonly address: string;
  /** for which resources, since the last change */
  asked: (string | null)[];
  tokens: TokenOptions;
}

const header = JSON.stringify({ alg: "none", typ: "JWT" });

function openWithIdentity(tokens: TokenOptions = {}): Promise<AzureStore> {
  identity.tokens = tokens;
  identity.asked = [];
  // An identity of its own for each, because a process keeps tokens by the identity they are for.
  const environment = { IDENTITY_ENDPOINT: identity.address, IDENTITY_HEADER: "of the host" };
  setIdentity({ ...environment, AZURE_CLIENT_ID: randomUUID(), AZURE_TOKEN_CREDENTIALS: "ManagedIdentityCredential" });
  return open({ env: {} });
}

/** The endpoint that hosts such as App Service offer. */
async function startIdentityEndpoint(): Promise<IdentityEndpoint> {
  const server = createServer((request, response) => {
    const { seconds = 3600, audience = "https://storage.azure.com", failures = 0 } = endpoint.tokens;
    const { searchParams } = new URL(request.url ?? "", "http://localhost");
    endpoint.asked.push(searchParams.get("resource"));
    response.setHeader("content-type", "application/json");
    if (request.headers["x-identity-header"] !== "of the host") response.statusCode = 401;
    if (endpoint.asked.length <= failures) response.statusCode = 503;
    const now = Math.floor(Date.now() / 1000);
    const claims = JSON.stringify({
      aud: audience,
      iss: "https://sts.windows.net/tenant/",
      nbf: now - 60,
      iat: now,
      exp: now + seconds,
    });
    const token = [header, claims, "no signature"].map(base64url).join(".");
    const answer = { access_token: token, expires_on: String(now + seconds), resource: audience, token_type: "Bearer" };
    response.end(JSON.stringify(response.statusCode === 200 ? answer : { error: "not now" }));
  });
  const endpoint: IdentityEndpoint = { address: `${await listen(server)}/token`, asked: [], tokens: {} };
  return endpoint;
}

async function startTunnelProxy() {
  const asked: string[] = [];
  const server = createServer();
  server.on("connect", (request, client, head) => {
    asked.push(request.url ?? "");
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
  });
  return { address: await listen(server), asked };
}

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const disposeNow = (): void => {
    server.closeAllConnections();
    server.close();
  };
  registerCleanup({ dispose: async () => disposeNow(), disposeNow });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}

function setIdentity(environment: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) if (identityVariables.test(name)) delete process.env[name];
  for (const [name, value] of Object.entries(environment)) process.env[name] = value;
}
