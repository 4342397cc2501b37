import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openStore } from "../../src/storage/open-store.ts";
import { GcsServer } from "../helpers/gcs-server/gcs-server.ts";
import { openGcs } from "../helpers/gcs-server/open-gcs.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { describeStore } from "./store-conformance.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };

let buckets = 0;
const shared = GcsServer.start();

describeStore("the GCS driver", async () => {
  const { endpoint } = await shared;
  const bucket = `bucket-${++buckets}`;
  (await shared).createBucket(bucket);
  const place = `${bucket}/a%20repository/100%25`;
  return { store: openGcs({ endpoint, place }).store, second: openGcs({ endpoint, place }).store };
});

test("opens by its URL, and shows neither settings nor a slash at the end in its own", async () => {
  await using server = await GcsServer.start();
  const store = await openStore(`gs://bucket/prefix/?endpoint=${server.endpoint}`, { environment: {} });
  expect(store.url).toBe("gs://bucket/prefix");
  await store.put("object", pattern(3), ifAbsent);
  expect(server.bucket("bucket").find("prefix/object").content).toHaveLength(3);
  await store.close();
});

test("sees only what lies under its prefix", async () => {
  await using server = await GcsServer.start();
  const outer = openGcs(server).store;
  const inner = openGcs({ endpoint: server.endpoint, place: "bucket/inner" }).store;
  await outer.put("innermost", pattern(1), ifAbsent);
  await inner.put("folder/object", pattern(1), ifAbsent);
  expect(await keys(inner, "")).toEqual(["folder/object"]);
  expect(await inner.listFolders("")).toEqual(["folder/"]);
  expect(await keys(outer, "")).toEqual(["inner/folder/object", "innermost"]);
});

test("pages through more folders than one answer holds", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const bucket = server.bucket("bucket");
  const folders = Array.from({ length: 1100 }, (_, index) => `f/${String(index).padStart(4, "0")}/`);
  for (const folder of folders) {
    for (const name of ["a", "b"]) {
      const query = new URLSearchParams();
      bucket.create({ name: folder + name, content: Buffer.alloc(1), metadata: {}, query, keyDigest: undefined });
    }
  }
  expect(await store.listFolders("f/")).toEqual(folders);
  expect(await keys(store, "f/", { startAfter: "f/0998/b" })).toHaveLength(202);
});

test.each([
  ["exactly one part", 8 * 1024 * 1024],
  ["exactly two parts", 16 * 1024 * 1024],
  ["a byte more than a part", 8 * 1024 * 1024 + 1],
])("uploads %s, which appears only when it is complete", async (_what, size) => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const body = pattern(size);
  const upload = await store.beginUpload("large", ifAbsent);
  for (let index = 0; index * partSize < size; index++) {
    await upload.part(index, body.subarray(index * partSize, (index + 1) * partSize));
  }
  expect(await codeOf(store.head("large"))).toBe("not-found");
  await upload.complete();
  expect(Buffer.compare(await store.get("large"), body)).toBe(0);
});

test("completes no upload that has a gap or a part in the middle that is not full", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(partSize));
  await upload.part(2, pattern(partSize));
  expect(await codeOf(upload.complete())).toBe("refused");
  await upload.abort();
  const short = await store.beginUpload("large", ifAbsent);
  await short.part(0, pattern(10));
  expect(await codeOf(short.part(1, pattern(partSize)))).toBe("refused");
  expect(await codeOf(short.complete())).toBe("refused");
  await short.abort();
  expect([await keys(store, ""), server.sessions]).toEqual([[], 0]);
});

test("lets the caller reuse the buffers of a part that came too early and of a last one that is not full", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const upload = await store.beginUpload("large", ifAbsent);
  const buffer = new Uint8Array(partSize);
  for (const index of [1, 0]) await upload.part(index, buffer.fill(index + 1));
  await upload.part(2, buffer.subarray(0, 10).fill(3));
  buffer.fill(4);
  await upload.complete();
  const stored = await store.get("large");
  expect([0, partSize - 1, partSize, 2 * partSize - 1, 2 * partSize].map((at) => stored[at])).toEqual([1, 1, 2, 2, 3]);
  expect(stored).toHaveLength(2 * partSize + 10);
});

test("finds out with one request that an object is not there", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  expect(await codeOf(store.get("object"))).toBe("not-found");
  expect(await codeOf(store.head("object"))).toBe("not-found");
  expect(server.requests).toHaveLength(2);
});

test("sends nothing of a large object whose name is taken, and says so when it is completed", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  await store.put("large", pattern(5), ifAbsent);
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(store.capabilities.partSize));
  await upload.part(1, pattern(store.capabilities.partSize));
  expect(await codeOf(upload.complete())).toBe("exists");
  expect(server.requests.filter(({ method }) => method === "PUT")).toEqual([]);
});

test("lets exactly one of several large uploads of a key win, although all began before there was anything", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const uploads = await Promise.all(Array.from({ length: 4 }, () => store.beginUpload("large", ifAbsent)));
  await Promise.all(uploads.map((upload, index) => upload.part(0, pattern(partSize).fill(index))));
  await Promise.all(uploads.map((upload, index) => upload.part(1, pattern(index + 1))));
  const outcomes = await Promise.all(uploads.map((upload) => codeOf(upload.complete())));
  expect(outcomes.filter((outcome) => outcome === "exists")).toHaveLength(3);
  const winner = outcomes.indexOf("done");
  const stored = await store.get("large");
  expect([stored.length, stored[0], stored[partSize - 1]]).toEqual([partSize + winner + 1, winner, winner]);
});

test("an aborted upload leaves no session behind, and parts that still waited end", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(partSize));
  expect(server.sessions).toBe(1);
  for (const index of [2, 3, 4, 5]) await upload.part(index, pattern(partSize)); // held back
  const waiting = [codeOf(upload.part(6, pattern(partSize))), codeOf(upload.part(7, pattern(partSize)))];
  await upload.abort();
  expect(await Promise.all(waiting)).toEqual(["aborted", "aborted"]);
  expect([server.sessions, await keys(store, "")]).toEqual([0, []]);
});

test("sends along what the URL asks for: class, KMS key, retention, and who pays", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs({
    endpoint: server.endpoint,
    settings: {
      "storage-class": "NEARLINE",
      "kms-key-name": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
      "lock-mode": "Locked",
      "lock-days": "30",
      "user-project": "payer",
    },
    surroundings: { now: () => new Date("2100-01-01T00:00:00Z") },
  });
  await store.put("small", pattern(3), ifAbsent);
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(store.capabilities.partSize));
  await upload.complete();
  for (const name of ["small", "large"]) {
    expect(server.bucket("bucket").find(name).resource).toMatchObject({
      storageClass: "NEARLINE",
      kmsKeyName: "projects/p/locations/l/keyRings/r/cryptoKeys/k",
      retention: { mode: "Locked", retainUntilTime: "2100-01-31T00:00:00.000Z" },
    });
  }
  expect(await keys(store, "")).toEqual(["large", "small"]);
  expect(await store.get("small")).toHaveLength(3);
  expect(await codeOf(store.delete(["small"]))).toBe("refused");
  const unpaid = server.requests.filter(({ path }) => !/userProject=payer|upload_id=/.test(path));
  expect(unpaid).toEqual([]);
});

test("reads what it wrote with a key of one's own, and nobody does without it", async () => {
  await using server = await GcsServer.start();
  await using directory = await temporaryDirectory();
  const [file, other] = [join(directory.path, "key"), join(directory.path, "other")];
  await writeFile(file, `${randomBytes(32).toString("base64")}\n`);
  await writeFile(other, randomBytes(32));
  const open = (key: string) => openGcs({ endpoint: server.endpoint, settings: { "encryption-key-file": key } }).store;
  const store = open(file);
  await store.put("small", pattern(3), ifAbsent);
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(store.capabilities.partSize));
  await upload.complete();
  expect(await store.get("small")).toHaveLength(3);
  expect(await store.get("large", { range: { offset: 5, length: 2 } })).toHaveLength(2);
  for (const stranger of [open(other), openGcs(server).store]) {
    await expect(stranger.get("small")).rejects.toMatchObject({
      code: "denied",
      hint: expect.stringContaining("encryption-key-file"),
    });
  }
  await writeFile(other, "too short");
  expect(() => open(other)).toThrow("not a key of 32 bytes");
});

test("goes through the proxy that the environment names", async () => {
  await using server = await GcsServer.start();
  const endpoint = "http://storage.invalid";
  const { store } = openGcs({ endpoint, surroundings: { environment: { HTTP_PROXY: server.endpoint } } });
  await store.put("object", pattern(3), ifAbsent);
  expect(await store.get("object")).toHaveLength(3);
  expect(server.requests[0]?.headers.host).toBe("storage.invalid");
});
