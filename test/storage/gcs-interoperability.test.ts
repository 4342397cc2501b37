import { Storage } from "@google-cloud/storage";
import type { Bucket } from "@google-cloud/storage";
import { expect, test } from "vitest";
import { GcsServer } from "../helpers/gcs-server/gcs-server.ts";
import { openGcs } from "../helpers/gcs-server/open-gcs.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };

/** Google's own client, which knows nothing of the driver nor of the server: both must speak as it expects. */
function googles(server: GcsServer): Bucket {
  return new Storage({ apiEndpoint: server.endpoint, projectId: "p" }).bucket("bucket");
}

test("Google's own client reads what the driver wrote, and finds its checksums right", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const { partSize } = store.capabilities;
  const body = pattern(partSize + 12_345);
  await store.put("folder/small one", body.subarray(0, 1000), ifAbsent);
  const upload = await store.beginUpload("folder/large", ifAbsent);
  await upload.part(0, body.subarray(0, partSize));
  await upload.part(1, body.subarray(partSize));
  await upload.complete();
  const bucket = googles(server);
  const [files] = await bucket.getFiles({ prefix: "folder/" });
  expect(files.map(({ name }) => name)).toEqual(["folder/large", "folder/small one"]);
  const [small] = await bucket.file("folder/small one").download({ validation: "crc32c" });
  const [large] = await bucket.file("folder/large").download({ validation: "md5" });
  expect(Buffer.compare(small, body.subarray(0, 1000))).toBe(0);
  expect(Buffer.compare(large, body)).toBe(0);
});

test("the driver reads what Google's own client wrote, at once or in chunks, and neither overwrites the other's", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  const bucket = googles(server);
  const body = Buffer.from(pattern(3 * 262_144 + 1));
  const preconditionOpts = { ifGenerationMatch: 0 };
  await bucket.file("small").save(body.subarray(0, 10), { resumable: false, preconditionOpts, validation: "crc32c" });
  await bucket.file("large").save(body, { resumable: true, chunkSize: 262_144, preconditionOpts });
  expect(Buffer.compare(await store.get("large"), body)).toBe(0);
  expect(await keys(store, "")).toEqual(["large", "small"]);
  expect(await codeOf(store.put("small", pattern(1), ifAbsent))).toBe("exists");
  await store.put("driver's", pattern(1), ifAbsent);
  await expect(bucket.file("driver's").save("x", { resumable: false, preconditionOpts })).rejects.toMatchObject({
    code: 412,
  });
  await bucket.file("small").delete();
  expect(await codeOf(store.head("small"))).toBe("not-found");
});

test("the server refuses what the service refuses: wrong checksums, and chunks that are no multiple of 256 KiB", async () => {
  await using server = await GcsServer.start();
  const bucket = googles(server);
  const wrong = { resumable: false, metadata: { crc32c: "AAAAAA==" }, preconditionOpts: { ifGenerationMatch: 0 } };
  await expect(bucket.file("object").save("data", wrong)).rejects.toMatchObject({ code: 400 });
  await bucket.file("object").save("data", { ...wrong, metadata: { crc32c: "rth90Q==" } }); // from Google's documentation
  const begun = await fetch(`${server.endpoint}/upload/storage/v1/b/bucket/o?uploadType=resumable&name=x`, {
    method: "POST",
  });
  const session = begun.headers.get("location") ?? "";
  const put = async (range: string, body: Uint8Array<ArrayBuffer>) =>
    (await fetch(session, { method: "PUT", headers: { "content-range": range }, body })).status;
  expect(await put("bytes 0-99999/*", new Uint8Array(100_000))).toBe(400);
  expect(await put("bytes 262144-524287/*", new Uint8Array(262_144))).toBe(503);
  expect(await put("bytes 0-262143/*", new Uint8Array(262_144))).toBe(308);
  expect(await put("bytes 262144-262144/262145", new Uint8Array(1))).toBe(200);
});
