import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { selfSigned } from "../helpers/certificate.ts";
import { GcsServer } from "../helpers/gcs-server/gcs-server.ts";
import { openGcs } from "../helpers/gcs-server/open-gcs.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };

/** The SDK reads the environment by itself; nothing of this machine's is to be found there. */
beforeEach(async () => {
  const { path } = await temporaryDirectory();
  vi.stubEnv("HOME", path);
  vi.stubEnv("CLOUDSDK_CONFIG", path);
  vi.stubEnv("METADATA_SERVER_DETECTION", "none");
  for (const name of ["GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "STORAGE_EMULATOR_HOST"]) {
    vi.stubEnv(name, undefined);
  }
});

afterEach(() => {
  vi.unstubAllEnvs();
});

function open(server: GcsServer) {
  return openGcs({ endpoint: server.endpoint, surroundings: { environment: process.env } });
}

/** The machine's own service account, as on Compute Engine and Kubernetes. */
async function onMachine(server: GcsServer): Promise<void> {
  vi.stubEnv("GCE_METADATA_HOST", new URL(server.endpoint).host);
  vi.stubEnv("METADATA_SERVER_DETECTION", "assume-present");
}

function serviceAccount() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    type: "service_account",
    project_id: "p",
    private_key_id: "1",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    client_email: "pgark@p.iam.gserviceaccount.com",
    client_id: "1",
    // In a universe of its own the account signs its tokens itself, and Google need not be asked.
    universe_domain: "test.example",
  };
}

async function credentialsFile(content: unknown): Promise<void> {
  const { path } = await temporaryDirectory();
  const file = join(path, "credentials.json");
  await writeFile(file, JSON.stringify(content));
  vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", file);
}

async function federation(server: GcsServer): Promise<void> {
  const { path } = await temporaryDirectory();
  await writeFile(join(path, "token"), "the pod's own token");
  await credentialsFile({
    type: "external_account",
    audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider",
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `${server.endpoint}/token`,
    credential_source: { file: join(path, "token") },
  });
}

test("an emulator on plain http is used without credentials", async () => {
  await using server = await GcsServer.start();
  vi.stubEnv("STORAGE_EMULATOR_HOST", server.endpoint);
  const { store } = openGcs({ endpoint: "", surroundings: { environment: process.env } });
  await store.put("object", pattern(1), ifAbsent);
  expect(await keys(store, "")).toEqual(["object"]);
  expect(server.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
});

test("a store that asks for credentials says so to whoever has none", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await expect(open(server).store.get("object")).rejects.toMatchObject({
    code: "denied",
    hint: expect.stringContaining("GOOGLE_APPLICATION_CREDENTIALS"),
  });
});

test("without any credentials nothing is sent, and it says where they could come from", async () => {
  const { store, pauses } = openGcs({ endpoint: "https://127.0.0.1:1", surroundings: { environment: process.env } });
  await expect(store.get("object")).rejects.toMatchObject({
    code: "denied",
    operation: "get credentials",
    hint: expect.stringContaining("GOOGLE_APPLICATION_CREDENTIALS"),
  });
  expect(pauses).toEqual([]);
});

test("uses the file of a service account, for large uploads too", async () => {
  const account = serviceAccount();
  await using server = await GcsServer.start({ account });
  await credentialsFile(account);
  const { store } = open(server);
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(store.capabilities.partSize));
  await upload.complete();
  expect(await keys(store, "")).toEqual(["large"]);
});

test("says denied when the service account's key is not the right one", async () => {
  const account = serviceAccount();
  await using server = await GcsServer.start({ account });
  await credentialsFile({ ...account, private_key: serviceAccount().private_key });
  expect(await codeOf(open(server).store.get("object"))).toBe("denied");
});

test("says denied when the file of the credentials is missing or no such file", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/credentials.json");
  await expect(open(server).store.get("object")).rejects.toMatchObject({
    code: "denied",
    message: expect.stringContaining("/nowhere/credentials.json"),
  });
  await credentialsFile("not credentials");
  expect(await codeOf(open(server).store.get("object"))).toBe("denied");
});

test("uses workload identity federation", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await federation(server);
  const { store } = open(server);
  await store.put("object", pattern(1), ifAbsent);
  expect(await keys(store, "")).toEqual(["object"]);
});

test("uses the machine's service account, and asks for its token once however many requests there are", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await onMachine(server);
  const { store } = open(server);
  await Promise.all(Array.from({ length: 20 }, (_, index) => store.put(`object-${index}`, pattern(1), ifAbsent)));
  expect(await keys(store, "")).toHaveLength(20);
  expect(server.requests.filter(({ path }) => path.includes("/token"))).toHaveLength(1);
});

test.each([
  ["the machine's service account", onMachine],
  ["workload identity federation", federation],
])("a token of %s that expires in the middle of an upload is renewed", async (_what, arrange) => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await arrange(server);
  const { store, pauses } = open(server);
  const { partSize } = store.capabilities;
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(partSize));
  server.tokens.revokeAll();
  await Promise.all([1, 2, 3].map((index) => store.put(`object-${index}`, pattern(1), ifAbsent)));
  server.tokens.revokeAll();
  await upload.part(1, pattern(partSize));
  await upload.complete();
  server.tokens.revokeAll();
  expect(await keys(store, "")).toEqual(["large", "object-1", "object-2", "object-3"]);
  expect(pauses).toEqual([]);
});

test("says denied when a fresh token is refused like the one before", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await onMachine(server);
  server.faults.add({ path: /storage\/v1/, status: 401, reason: "authError" });
  expect(await codeOf(open(server).store.get("object"))).toBe("denied");
  expect(server.requests.filter(({ path }) => path.includes("storage/v1"))).toHaveLength(2);
});

test("asks again for a token that the machine could not give at once", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await federation(server);
  server.faults.add({ path: /^\/token/, status: 503, times: 2 });
  expect(await codeOf(open(server).store.put("object", pattern(1), ifAbsent))).toBe("done");
  expect(server.requests.filter(({ path }) => path === "/token").map(({ status }) => status)).toEqual([503, 503, 200]);
});

test("stops waiting for a token when the signal fires", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await federation(server);
  server.faults.add({ path: /^\/token/, hang: true });
  const stop = new AbortController();
  const reading = codeOf(open(server).store.get("object", { signal: stop.signal }));
  await expect.poll(() => server.requests.length).toBe(1);
  stop.abort();
  expect(await reading).toBe("aborted");
});

test("says that the clock is wrong when the issuer of tokens does, without giving away what was sent there", async () => {
  await using server = await GcsServer.start({ asksForTokens: true });
  await federation(server);
  const description = "Invalid JWT: Token must be in a reasonable timeframe. Check your iat and exp values.";
  const body = JSON.stringify({ error: "invalid_grant", error_description: description });
  server.faults.add({ path: /^\/token/, status: 400, body });
  const error: unknown = await open(server)
    .store.get("object")
    .catch((problem: unknown) => problem);
  expect(error).toMatchObject({ code: "denied", hint: expect.stringContaining("clock") });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("the pod's own token");
});

test("trusts an endpoint's own authority when it is named, and says how to when it is not", async () => {
  const account = serviceAccount();
  const tls = selfSigned();
  await using server = await GcsServer.start({ account, tls });
  await credentialsFile(account);
  const { path } = await temporaryDirectory();
  const file = join(path, "authority.pem");
  await writeFile(file, tls.cert);
  const { store } = openGcs({ endpoint: server.endpoint, settings: { "ca-file": file } });
  await store.put("object", pattern(100_000), ifAbsent);
  expect(await store.get("object")).toHaveLength(100_000);
  const stranger = openGcs(server);
  await expect(stranger.store.get("object")).rejects.toMatchObject({
    code: "denied",
    hint: expect.stringContaining("ca-file"),
  });
  expect(stranger.pauses).toEqual([]);
  const missing = { "ca-file": join(path, "missing") };
  expect(() => openGcs({ endpoint: server.endpoint, settings: missing })).toThrow("ENOENT");
});
