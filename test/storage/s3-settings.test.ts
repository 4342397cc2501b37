import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { s3Error } from "../../src/storage/drivers/s3/s3-errors.ts";
import { openS3Store, type S3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { registerCleanup } from "../helpers/cleanup.ts";
import { startFaultProxy } from "../helpers/fault-proxy.ts";
import { describeWith } from "../helpers/requirements.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { type FaultyS3, isBegin, isDelete, isPart, isPut, startFaultyS3 } from "./s3-behind-proxy.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
const partSize = 8 * 1024 * 1024;

async function writeBoth(store: S3Store): Promise<void> {
  await store.put("small", pattern(1000), ifAbsent);
  const upload = await store.beginUpload("large", ifAbsent);
  await upload.part(0, pattern(partSize));
  await upload.part(1, pattern(10));
  await upload.complete();
}

describeWith(["radosgw"], "the S3 driver's settings", () => {
  let s3: FaultyS3;

  beforeAll(async () => {
    s3 = await startFaultyS3();
  });

  beforeEach(() => {
    s3.proxy.reset();
  });

  /** The headers, by name, of the requests that write: a put, a beginning, and the parts. */
  function writes(): readonly Readonly<Record<string, unknown>>[] {
    return s3.proxy.requests.filter((seen) => isPut(seen) || isBegin(seen)).map(({ headers }) => headers);
  }

  test("region and storage class reach the store", async () => {
    const { store, prefix } = s3.open({ settings: "region=eu-central-7&storage-class=STANDARD" });
    await writeBoth(store);
    expect(writes()).toHaveLength(2);
    for (const headers of writes()) {
      expect(headers["x-amz-storage-class"]).toBe("STANDARD");
      expect(headers["authorization"]).toMatch(/\/eu-central-7\/s3\/aws4_request/);
    }
    const head = await s3.raw.send(new HeadObjectCommand({ Bucket: s3.bucket, Key: `${prefix}large` }));
    expect(head.ContentLength).toBe(partSize + 10);
    const glacial = s3.open({ settings: "storage-class=NOWHERE" }).store;
    await expect(glacial.put("small", pattern(1), ifAbsent)).rejects.toMatchObject({ code: "usage" });
  });

  test("encryption with a key of the store's management service is asked for and done", async () => {
    const { store, prefix } = s3.open({ settings: "encryption=aws:kms&kms-key-id=my-key" });
    await writeBoth(store);
    for (const name of ["small", "large"]) {
      const head = await s3.raw.send(new HeadObjectCommand({ Bucket: s3.bucket, Key: `${prefix}${name}` }));
      expect(head).toMatchObject({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: "my-key" });
    }
    expect(Buffer.compare(await store.get("small"), pattern(1000))).toBe(0);
    expect((await store.get("large")).length).toBe(partSize + 10);
    const wrong = s3.open({ settings: "encryption=aws:kms&kms-key-id=no-such-key" }).store;
    expect(["denied", "usage", "refused"]).toContain(await codeOf(wrong.put("small", pattern(1), ifAbsent)));
  });

  test("encryption with the store's own keys is asked for", async () => {
    const { store } = s3.open({ settings: "encryption=AES256", tuning: { attempts: 1 } });
    // This version of the gateway has none, and is only asked.
    await codeOf(store.put("small", pattern(1), ifAbsent));
    expect(writes()[0]?.["x-amz-server-side-encryption"]).toBe("AES256");
  });

  test.each(["raw", "base64"] as const)(
    "a customer's key, %s, encrypts all, and nobody reads without it",
    async (form) => {
      const { path } = await temporaryDirectory();
      const key = randomBytes(32);
      await writeFile(join(path, "key"), form === "raw" ? key : `${key.toString("base64")}\n`);
      await writeFile(join(path, "other"), randomBytes(32));
      const { store } = s3.open({ settings: `customer-key-file=${path}/key` });
      await writeBoth(store);
      expect(Buffer.compare(await store.get("small"), pattern(1000))).toBe(0);
      expect((await store.get("large", { range: { offset: partSize, length: 100 } })).length).toBe(10);
      expect((await store.head("large")).size).toBe(partSize + 10);
      expect(await codeOf(store.put("small", pattern(1), ifAbsent))).toBe("exists");
      const plain = openS3Store(`${store.url}?endpoint=${s3.server.endpoint}`, {});
      expect(["denied", "usage", "refused"]).toContain(await codeOf(plain.get("small")));
      const other = openS3Store(`${store.url}?endpoint=${s3.server.endpoint}&customer-key-file=${path}/other`, {});
      expect(["denied", "usage", "refused"]).toContain(await codeOf(other.get("small")));
    },
  );

  test("a customer's key that is none is refused before anything is written", async () => {
    const { path } = await temporaryDirectory();
    await writeFile(join(path, "short"), "abc");
    expect(() => s3.open({ settings: `customer-key-file=${path}/short` })).toThrow(
      expect.objectContaining({ code: "usage", hint: expect.stringContaining("openssl rand") as string }),
    );
    expect(() => s3.open({ settings: `customer-key-file=${path}/missing` })).toThrow(
      expect.objectContaining({ code: "io" }),
    );
  });

  test("who pays is said with every request", async () => {
    const { store } = s3.open({ settings: "requester-pays" });
    await writeBoth(store);
    await store.get("small");
    await keys(store, "");
    await store.delete(["small"]);
    const upload = await store.beginUpload("aborted", ifAbsent);
    await upload.part(0, pattern(partSize));
    await upload.abort();
    expect(s3.proxy.requests.length).toBeGreaterThanOrEqual(10);
    for (const { method, url, headers } of s3.proxy.requests) {
      expect(headers["x-amz-request-payer"], `${method} ${url}`).toBe("requester");
    }
  });

  test("tags are on small and on large objects", async () => {
    const { store, prefix } = s3.open({ settings: "tags=team=data%2520base%26cost=a+b" });
    await writeBoth(store);
    for (const headers of writes()) expect(headers["x-amz-tagging"]).toBe("team=data%20base&cost=a+b");
    // Ceph 16 does not keep those of objects of several parts.
    const { TagSet } = await s3.raw.send(new GetObjectTaggingCommand({ Bucket: s3.bucket, Key: `${prefix}small` }));
    expect(TagSet?.map(({ Key }) => Key).toSorted()).toEqual(["cost", "team"]);
    expect(TagSet).toContainEqual({ Key: "team", Value: "data base" });
  });

  test("locked objects cannot be destroyed: deleting hides them, and the version stays", async () => {
    const bucket = "locked-bucket";
    await s3.raw.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
    const before = Date.now();
    const { store, prefix } = s3.open({ bucket, settings: "lock-mode=COMPLIANCE&lock-days=3" });
    await writeBoth(store);
    for (const name of ["small", "large"]) {
      const head = await s3.raw.send(new HeadObjectCommand({ Bucket: bucket, Key: `${prefix}${name}` }));
      expect(head.ObjectLockMode, name).toBe("COMPLIANCE");
      const days = ((head.ObjectLockRetainUntilDate?.getTime() ?? 0) - before) / 86_400_000;
      expect(days).toBeGreaterThan(2.99);
      expect(days).toBeLessThan(3.01);
    }
    await store.delete(["small"]);
    expect(await codeOf(store.get("small"))).toBe("not-found");
    const versions = await s3.raw.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `${prefix}small` }));
    const VersionId = versions.Versions?.[0]?.VersionId;
    const place = { Bucket: bucket, Key: `${prefix}small`, VersionId };
    const refusal: unknown = await s3.raw.send(new DeleteObjectCommand(place)).catch((error: unknown) => error);
    expect(s3Error("delete object", "small", refusal)).toMatchObject({ code: "denied" });
    expect((await s3.raw.send(new GetObjectCommand(place))).ContentLength).toBe(1000);
    expect(await store.whyDeletedStays()).toMatch(/^the bucket keeps versions: /);
    expect(await s3.open().store.whyDeletedStays()).toBeUndefined();
  });

  test("a lock on a bucket that has none is refused with a hint", async () => {
    const { store } = s3.open({ settings: "lock-mode=GOVERNANCE&lock-days=3" });
    await expect(store.put("small", pattern(1), ifAbsent)).rejects.toMatchObject({
      code: "usage",
      hint: expect.stringContaining("setting in the repository's URL") as string,
    });
  });

  test("a deletion that the bucket's policy forbids is denied, though the store answers 200", async () => {
    const bucket = await s3.server.createBucket();
    const { store } = s3.open({ bucket });
    await store.put("kept", pattern(1), ifAbsent);
    const Statement = [
      { Effect: "Deny", Principal: "*", Action: "s3:DeleteObject", Resource: `arn:aws:s3:::${bucket}/*` },
    ];
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
    await s3.raw.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    await expect(store.delete(["kept"])).rejects.toMatchObject({ code: "denied", object: "kept" });
    expect(await store.get("kept")).toHaveLength(1);
  });

  test("checksums go along, or only what an old clone takes", async () => {
    const supported = s3.open().store;
    await writeBoth(supported);
    const crc = (headers: Readonly<Record<string, unknown>>): boolean => headers["x-amz-checksum-crc32"] !== undefined;
    expect(s3.proxy.requests.filter((seen) => isPut(seen) || isPart(seen)).every(({ headers }) => crc(headers))).toBe(
      true,
    );
    s3.proxy.reset();
    const required = s3.open({ settings: "checksums=required" }).store;
    await writeBoth(required);
    await required.delete(["small"]);
    const sent = s3.proxy.requests.filter((seen) => isPut(seen) || isPart(seen) || isDelete(seen));
    expect(sent).toHaveLength(4);
    for (const { headers } of sent) expect(headers["content-md5"]).toMatch(/^.{22}==$/);
    expect(s3.proxy.requests.filter((seen) => isPut(seen) || isPart(seen)).some(({ headers }) => crc(headers))).toBe(
      false,
    );
    expect(await keys(required, "")).toEqual(["large"]);
  });

  test("an endpoint with a certificate of its own is believed when its authority is named, and not otherwise", async () => {
    const { path } = await temporaryDirectory();
    const { cert, key } = selfSigned();
    await writeFile(join(path, "ca.pem"), cert);
    const proxy = await startFaultProxy({ target: s3.server.endpoint, tls: { key, cert } });
    const url = `s3://${s3.bucket}/tls?endpoint=${proxy.endpoint}`;
    await expect(openS3Store(url, {}).get("small")).rejects.toMatchObject({
      code: "denied",
      hint: expect.stringContaining("ca-file") as string,
    });
    const store = openS3Store(`${url}&ca-file=${path}/ca.pem`, {});
    await writeBoth(store);
    expect((await store.get("large")).length).toBe(partSize + 10);
    const bodies = proxy.requests.filter((seen) => isPut(seen) || isPart(seen));
    expect(bodies).toHaveLength(3);
    for (const { headers } of bodies) {
      expect(headers["x-amz-content-sha256"]).toBe("UNSIGNED-PAYLOAD");
      expect(headers["x-amz-checksum-crc32"]).toMatch(/=$/);
    }
    // Over https a body goes out in slices; what arrives must be what was sent, whatever the size.
    for (const size of [0, 1, 262_143, 262_144, 262_145, 1_000_003]) {
      await store.put(`of ${size}`, pattern(size), { ifAbsent: true });
      expect(Buffer.compare(await store.get(`of ${size}`), pattern(size))).toBe(0);
    }
    await store.close();
  });

  test("requests go through the proxy that the environment names", async () => {
    const passed: string[] = [];
    const forward = createServer((request, response) => {
      const { method = "GET", url = "", rawHeaders: headers } = request;
      passed.push(url);
      const { hostname, port, pathname, search } = new URL(url);
      const options = { method, hostname, port, path: pathname + search, headers, setHost: false };
      request.pipe(
        httpRequest(options, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
          answer.pipe(response);
        }),
      );
    });
    await new Promise<void>((resolve) => forward.listen(0, "127.0.0.1", resolve));
    const dispose = async (): Promise<void> => {
      forward.closeAllConnections();
      forward.close();
    };
    registerCleanup({ dispose, disposeNow: () => {} });
    const HTTP_PROXY = `http://127.0.0.1:${(forward.address() as AddressInfo).port}`;
    const url = `s3://${s3.bucket}/proxied?endpoint=${s3.server.endpoint}`;
    const store = openS3Store(url, { HTTP_PROXY });
    await store.put("object", pattern(10), ifAbsent);
    expect(passed).toHaveLength(1);
    expect(passed[0]).toContain(`${s3.server.endpoint}/${s3.bucket}/proxied/object`);
    await openS3Store(url, { HTTP_PROXY, NO_PROXY: "127.0.0.1" }).get("object");
    expect(passed).toHaveLength(1);
    await store.close();
  });
});
