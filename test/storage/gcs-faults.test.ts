import { expect, test } from "vitest";
import type { ObjectStore, Upload } from "../../src/storage/object-store.ts";
import { GcsServer } from "../helpers/gcs-server/gcs-server.ts";
import { openGcs } from "../helpers/gcs-server/open-gcs.ts";
import { undeletedOf } from "../../src/storage/undeleted.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
const tries = 8;

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Two parts and a bit, sent two at a time. */
async function uploadLarge(store: ObjectStore, complete: (upload: Upload) => Promise<void>): Promise<Uint8Array> {
  const { partSize } = store.capabilities;
  const body = pattern(2 * partSize + 1000);
  const upload = await store.beginUpload("large", ifAbsent);
  await Promise.all([0, 1].map((index) => upload.part(index, body.subarray(index * partSize, (index + 1) * partSize))));
  await upload.part(2, body.subarray(2 * partSize));
  await complete(upload);
  return body;
}

test.each([500, 502, 503, 504, 429, 408])("tries again after status %i, with pauses that grow", async (status) => {
  await using server = await GcsServer.start();
  const { store, pauses } = openGcs(server);
  server.faults.add({ method: "POST", status, times: 3 });
  await store.put("object", pattern(10), ifAbsent);
  expect(await store.get("object")).toHaveLength(10);
  expect(pauses).toEqual([250, 500, 1000]);
});

test("pauses for as long as the store asks", async () => {
  await using server = await GcsServer.start();
  const { store, pauses } = openGcs(server);
  server.faults.add({ status: 429, reason: "rateLimitExceeded", headers: { "retry-after": "7" }, times: 1 });
  server.faults.add({ status: 503, times: 1 });
  expect(await codeOf(store.put("object", pattern(1), ifAbsent))).toBe("done");
  expect(pauses).toEqual([7000, 500]);
});

test.each([
  [429, "throttled"],
  [503, "unavailable"],
])("gives up on a storm of %i after some tries, and says %s", async (status, code) => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ status });
  expect(await codeOf(store.get("object"))).toBe(code);
  expect(server.requests).toHaveLength(tries);
});

test("says unavailable, and what to look at, when nobody listens", async () => {
  const server = await GcsServer.start();
  const { endpoint } = server;
  await server[Symbol.asyncDispose]();
  await expect(openGcs({ endpoint }).store.get("object")).rejects.toMatchObject({
    code: "unavailable",
    hint: expect.stringContaining("cannot be reached"),
  });
});

test("a put whose connection breaks on the way is sent again", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "POST", resetAfter: 100_000, times: 2 });
  await store.put("object", pattern(3_000_000), ifAbsent);
  expect(isSame(await store.get("object"), pattern(3_000_000))).toBe(true);
});

test("a put whose answer was lost knows its own object, and takes no other for it", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "POST", loseAnswer: true, times: 1 });
  await store.put("mine", pattern(10), ifAbsent);
  expect(server.requests.map(({ status }) => status)).toEqual([200, 412, 200]);
  server.faults.clear();
  server.faults.add({ method: "POST", status: 503, times: 1 });
  expect(await codeOf(store.put("mine", pattern(10), ifAbsent))).toBe("exists");
});

test("content that was damaged on its way in is refused by the store and sent again", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "POST", damage: "request", times: 1 });
  await store.put("object", pattern(10_000), ifAbsent);
  expect(isSame(await store.get("object"), pattern(10_000))).toBe(true);
  expect(server.requests.map(({ status }) => status)).toEqual([400, 200, 200]);
});

test.each([
  ["breaks off", { truncateAt: 500_000 }],
  ["was damaged", { damage: "answer" as const }],
  ["never comes", { hang: true as const }],
])("an answer that %s is asked for again", async (_what, fault) => {
  await using server = await GcsServer.start();
  const { store } = openGcs({ endpoint: server.endpoint, surroundings: { silenceMs: 1000 } });
  const body = pattern(1_000_000);
  await store.put("object", body, ifAbsent);
  server.faults.add({ method: "GET", times: 1, ...fault });
  expect(isSame(await store.get("object"), body)).toBe(true);
  expect(server.requests.filter(({ method }) => method === "GET")).toHaveLength(2);
});

test("lists on after a page that failed, and misses nothing", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const bucket = server.bucket("bucket");
  const names = Array.from({ length: 2500 }, (_, index) => `list/${String(index).padStart(5, "0")}`);
  for (const name of names) {
    bucket.create({ name, content: Buffer.alloc(1), metadata: {}, query: new URLSearchParams(), keyDigest: undefined });
  }
  server.faults.add({ path: /pageToken/, truncateAt: 100, times: 1 }, { path: /pageToken/, status: 503, times: 1 });
  expect(await keys(store, "list/")).toEqual(names);
});

test("deletes all the same when some requests fail, and tells which objects it may not delete", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const names = Array.from({ length: 40 }, (_, index) => `object-${index}`);
  await Promise.all(names.map((name) => store.put(name, pattern(1), ifAbsent)));
  server.faults.add({ method: "DELETE", status: 503, times: 10 }, { method: "DELETE", loseAnswer: true, times: 5 });
  await store.delete(names);
  expect(await keys(store, "")).toEqual([]);
  server.faults.clear();
  await Promise.all(names.map((name) => store.put(name, pattern(1), ifAbsent)));
  server.faults.add({ method: "DELETE", path: /object-(7|31)$/, status: 403, reason: "forbidden" });
  const error: unknown = await store.delete(names).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "denied" });
  expect(
    undeletedOf(error)
      ?.map(({ key }) => key)
      .toSorted(),
  ).toEqual(["object-31", "object-7"]);
  expect(await keys(store, "")).toEqual(["object-31", "object-7"]);
});

test.each([
  ["breaks before it began", { resetAfter: 1 }],
  ["breaks in the middle of a part", { resetAfter: 5_000_000 }],
  ["loses an answer", { loseAnswer: true as const }],
  ["is refused for a while", { status: 503 }],
])("an upload that %s goes on from where it stands", async (_what, fault) => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "PUT", path: /upload_id/, times: 2, ...fault });
  const body = await uploadLarge(store, (upload) => upload.complete());
  expect(isSame(await store.get("large"), body)).toBe(true);
  expect(server.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
});

test("an upload that breaks in the middle of a part sends only what is missing of it", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "PUT", path: /upload_id/, after: 1, times: 1, resetAfter: 5_000_000 });
  const body = await uploadLarge(store, (upload) => upload.complete());
  expect(isSame(await store.get("large"), body)).toBe(true);
  const { partSize } = store.capabilities;
  const ranges = server.requests.map(({ headers }) => headers["content-range"]).filter((range) => range !== undefined);
  const begins = ranges.flatMap((range) => /^bytes (\d+)-/.exec(range)?.[1] ?? []).map(Number);
  expect(ranges).toContain("bytes */*");
  expect(begins.filter((begin) => begin > partSize && begin < 2 * partSize)).toHaveLength(1);
});

test("an upload that lost the answer to its last request is complete", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  await uploadLarge(store, async (upload) => {
    server.faults.add({ method: "PUT", loseAnswer: true, times: 1 });
    await upload.complete();
  });
  expect(await codeOf(store.head("large"))).toBe("done");
});

test("an upload that lost that answer, and whose session was forgotten since, still knows its own object", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  await uploadLarge(store, async (upload) => {
    server.faults.add({ method: "PUT", loseAnswer: true, times: 1 }, { method: "PUT", status: 410 });
    await upload.complete();
  });
  expect(await codeOf(store.head("large"))).toBe("done");
});

test("an upload whose session was lost fails, leaves no object, and does not give away the session's address", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(partSize));
  server.forgetSessions();
  const error: unknown = await upload.part(1, pattern(partSize)).catch((problem: unknown) => problem);
  expect(error).toMatchObject({ code: "unavailable", message: "the upload session was lost" });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("upload_id");
  expect(await codeOf(upload.complete())).toBe("unavailable");
  await upload.abort();
  expect(await keys(store, "")).toEqual([]);
});

test("an upload whose content was damaged on its way never appears", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "PUT", damage: "request", times: 1 });
  await uploadLarge(store, async (upload) => {
    expect(await codeOf(upload.complete())).toBe("unavailable");
    await upload.abort();
  });
  expect([await keys(store, ""), server.sessions]).toEqual([[], 0]);
});

test("begins no second upload when the answer to the first beginning was lost, as far as anybody can see", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ method: "POST", loseAnswer: true, times: 1 });
  const body = await uploadLarge(store, (upload) => upload.complete());
  expect(isSame(await store.get("large"), body)).toBe(true);
  expect(await keys(store, "")).toEqual(["large"]);
});

test("stops at once, wherever it is, when the signal fires", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  await store.put("there", pattern(10), ifAbsent);
  const begun = server.requests.length;
  server.faults.add({ hang: true });
  const stop = new AbortController();
  const { signal } = stop;
  const upload = await store.beginUpload("large", { ifAbsent: true, signal });
  const works = [
    store.put("object", pattern(10), { ifAbsent: true, signal }),
    upload.part(0, pattern(store.capabilities.partSize)),
    store.get("there", { signal }),
    store.head("there", { signal }),
    keys(store, "", { signal }),
    store.listFolders("", { signal }),
    store.delete(["there"], { signal }),
  ].map(codeOf);
  await expect.poll(() => server.requests.length).toBe(begun + works.length);
  stop.abort();
  expect(new Set(await Promise.all(works))).toEqual(new Set(["aborted"]));
});

test("stops while it pauses, too", async () => {
  await using server = await GcsServer.start();
  const stop = new AbortController();
  const { store } = openGcs({
    endpoint: server.endpoint,
    surroundings: {
      sleep: async (_milliseconds, signal) => {
        stop.abort();
        signal?.throwIfAborted();
      },
    },
  });
  server.faults.add({ status: 503 });
  expect(await codeOf(store.get("object", { signal: stop.signal }))).toBe("aborted");
});
