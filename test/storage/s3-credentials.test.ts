import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { openS3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import { registerCleanup } from "../helpers/cleanup.ts";
import { errorAnswer, type SeenRequest } from "../helpers/fault-proxy.ts";
import { describeWith } from "../helpers/requirements.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { any, type FaultyS3, startFaultyS3, useCredentials } from "./s3-behind-proxy.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
const oldKey = "OLDKEY";

describeWith(["radosgw"], "the S3 driver's credentials", () => {
  let s3: FaultyS3;

  beforeAll(async () => {
    s3 = await startFaultyS3();
  });

  beforeEach(() => {
    s3.proxy.reset();
    useCredentials(s3.server.env);
  });

  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** As a store answers once a session is over, though its end was said to be later. */
  function expireOldKey(): void {
    const isOld = ({ headers }: SeenRequest): boolean =>
      String(headers["authorization"]).includes(`Credential=${oldKey}/`);
    const byHead = ({ method }: SeenRequest): boolean => method === "HEAD";
    s3.proxy.add({ matches: (request) => isOld(request) && byHead(request), fault: { kind: "answer", status: 400 } });
    s3.proxy.add({ matches: isOld, fault: errorAnswer(400, "ExpiredToken", "The provided token has expired.") });
  }

  /** Credentials in an hour's time; the first that are asked for are the old key's. */
  function nextCredentials(asked: number): object {
    const Expiration = new Date(Date.now() + 3_600_000).toISOString();
    const old = { AccessKeyId: oldKey, SecretAccessKey: "oldsecret" };
    const fresh = { AccessKeyId: s3.server.accessKey, SecretAccessKey: s3.server.secretKey };
    return { ...(asked === 1 ? old : fresh), Expiration };
  }

  /** What a container's agent serves; it needs a token, which the store must not be given for real keys. */
  async function serveCredentials(
    credentials: (asked: number) => object,
  ): Promise<{ url: string; asked: () => number }> {
    let asked = 0;
    const server = createServer((_request, response) => response.end(JSON.stringify(credentials(++asked))));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const dispose = async (): Promise<void> => {
      server.closeAllConnections();
      server.close();
    };
    registerCleanup({ dispose, disposeNow: () => {} });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked: () => asked };
  }

  test("are fetched anew from a credential_process when the store says that they have expired", async () => {
    const { path } = await temporaryDirectory();
    const [first, later] = [nextCredentials(1), nextCredentials(2)].map((keysThen) =>
      JSON.stringify({ Version: 1, ...keysThen }),
    );
    const program = join(path, "credentials");
    await writeFile(
      program,
      `#!/bin/sh\nif [ -e ${path}/asked ]; then echo '${later}'; else : > ${path}/asked; echo '${first}'; fi\n`,
    );
    await chmod(program, 0o755);
    await writeFile(join(path, "config"), `[profile backup]\ncredential_process = ${program}\n`);
    useCredentials({ AWS_CONFIG_FILE: join(path, "config") });
    expireOldKey();
    const { store, pauses } = s3.open({ settings: "profile=backup" });
    await store.put("object", pattern(10), ifAbsent);
    expect(await store.get("object")).toHaveLength(10);
    expect(pauses).toEqual([]);
    expect(s3.proxy.tally.answer).toBe(1);
  });

  test("are fetched anew from a container's endpoint, whichever request is the first to be refused", async () => {
    await s3.open().store.put("object", pattern(1), ifAbsent);
    const work = {
      put: (store) => store.put("object", pattern(10), ifAbsent),
      list: (store) => keys(store, ""),
      head: (store) => codeOf(store.head("object")),
      delete: (store) => store.delete(["object"]),
      upload: async (store) => {
        const upload = await store.beginUpload("large", ifAbsent);
        await upload.part(0, pattern(8 * 1024 * 1024));
        await upload.complete();
      },
    } satisfies Record<string, (store: ReturnType<FaultyS3["open"]>["store"]) => Promise<unknown>>;
    expireOldKey();
    for (const [name, doIt] of Object.entries(work)) {
      const agent = await serveCredentials((asked) => ({ Token: "session", ...nextCredentials(asked) }));
      useCredentials({ AWS_CONTAINER_CREDENTIALS_FULL_URI: agent.url });
      const { store } = s3.open();
      // The gateway knows no sessions: the token is only for the SDK, which wants one from this endpoint.
      s3.proxy.add({
        matches: ({ headers }) => headers["x-amz-security-token"] === undefined,
        fault: errorAnswer(400, "NoToken"),
      });
      expect(await codeOf(doIt(store)), name).toBe("done");
      expect(agent.asked(), name).toBe(2);
    }
  });

  test("are given up when those that come anew have expired too", async () => {
    const agent = await serveCredentials(() => ({ Token: "session", ...nextCredentials(1) }));
    useCredentials({ AWS_CONTAINER_CREDENTIALS_FULL_URI: agent.url });
    expireOldKey();
    await expect(s3.open().store.put("object", pattern(1), ifAbsent)).rejects.toMatchObject({
      code: "denied",
      hint: expect.stringContaining("renew the credentials") as string,
    });
    expect(agent.asked()).toBe(2);
    expect(s3.proxy.requests).toHaveLength(2);
  });

  test("are not renewed when none can be: a session from the environment fails at once", async () => {
    const { store } = s3.open();
    s3.proxy.add({ matches: any, fault: errorAnswer(400, "ExpiredToken") });
    expect(await codeOf(store.get("object"))).toBe("denied");
    expect(s3.proxy.requests).toHaveLength(2);
  });

  test("work on a machine whose clock is wrong, by the store's own time", async () => {
    const trueNow = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => trueNow() + 20 * 60_000);
    const { store, pauses } = s3.open();
    await store.put("object", pattern(10), ifAbsent);
    expect(await store.get("object")).toHaveLength(10);
    expect(pauses).toEqual([]);
    const second = s3.open().store;
    expect(await codeOf(second.head("object"))).toBe("not-found");
  });

  test.each([
    ["wrong secret", { AWS_ACCESS_KEY_ID: "testaccess", AWS_SECRET_ACCESS_KEY: "wr0ng+secret" }, /secret key is wrong/],
    ["unknown key", { AWS_ACCESS_KEY_ID: "n0body", AWS_SECRET_ACCESS_KEY: "wr0ng+secret" }, /not known there/],
    ["lack of any", {}, /AWS_ACCESS_KEY_ID/],
  ])("fail at once, as denied and with a hint, for a %s", async (_what, environment, hint) => {
    useCredentials(environment);
    const { store, pauses } = s3.open();
    const works = [
      () => store.put("object", pattern(1), ifAbsent),
      () => store.get("object"),
      () => store.head("object"),
      () => keys(store, ""),
      () => store.delete(["object"]),
    ];
    for (const work of works) {
      const error: unknown = await work().catch((failure: unknown) => failure);
      expect(error).toMatchObject({ name: "PgarkError", code: "denied", hint: expect.stringMatching(hint) as string });
      const { message, facts, object } = error as { message: string; facts?: object; object?: string };
      expect(JSON.stringify({ message, facts, object, hint: String(hint) })).not.toMatch(/wr0ng/);
    }
    expect(pauses).toEqual([]);
  });

  test("fail with a word about the bucket when there is none, and never as a missing object", async () => {
    const { store, pauses } = s3.open({ bucket: "no-such-bucket-here" });
    const noBucket = { code: "usage", hint: expect.stringContaining("create the bucket") as string };
    await expect(store.put("object", pattern(1), ifAbsent)).rejects.toMatchObject(noBucket);
    await expect(store.get("object")).rejects.toMatchObject(noBucket);
    await expect(store.head("object")).rejects.toMatchObject(noBucket);
    await expect(keys(store, "")).rejects.toMatchObject(noBucket);
    const upload = await store.beginUpload("object", ifAbsent);
    await expect(upload.part(0, pattern(8 * 1024 * 1024))).rejects.toMatchObject(noBucket);
    await upload.abort();
    expect(pauses).toEqual([]);
  });

  test.each([
    [errorAnswer(403, "AccessDenied"), "denied", /s3:ListBucket/],
    [{ kind: "answer", status: 403 } as const, "denied", /docs\/stores\.md/],
    [errorAnswer(301, "PermanentRedirect"), "usage", /\?region=/],
    [errorAnswer(400, "AuthorizationHeaderMalformed"), "usage", /\?region=/],
    [errorAnswer(501, "NotImplemented"), "usage", /conditional-create/],
    [errorAnswer(403, "InvalidObjectState"), "refused", /storage class/],
    [errorAnswer(403, "QuotaExceeded"), "refused", /quota/],
    [errorAnswer(400, "SomethingNew"), "refused", /^$/],
  ])("and settings that do not suit fail at once: %j", async (fault, code, hint) => {
    const { store, pauses } = s3.open();
    s3.proxy.add({ matches: any, fault });
    const error: unknown = await store.get("object").catch((failure: unknown) => failure);
    expect(error).toMatchObject({ name: "PgarkError", code });
    expect((error as { hint?: string }).hint ?? "").toMatch(hint);
    expect(pauses).toEqual([]);
    expect(s3.proxy.requests).toHaveLength(1);
  });

  test("need a region on AWS itself, and the message says how to give one", async () => {
    vi.stubEnv("AWS_REGION", undefined);
    vi.stubEnv("AWS_DEFAULT_REGION", undefined);
    const store = openS3Store("s3://bucket/prefix", {}, { attempts: 1 });
    await expect(store.get("object")).rejects.toMatchObject({
      code: "usage",
      hint: expect.stringContaining("AWS_REGION") as string,
    });
  });
});
