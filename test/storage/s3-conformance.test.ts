import { randomUUID } from "node:crypto";
import { beforeAll, vi } from "vitest";
import { openS3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import { describeWith } from "../helpers/requirements.ts";
import { startS3Server } from "../helpers/s3-server.ts";
import { describeStore } from "./store-conformance.ts";

describeWith(["radosgw"], "on Ceph's object gateway", () => {
  let bucketUrl = "";
  let query = "";

  beforeAll(async () => {
    const server = await startS3Server();
    for (const [name, value] of Object.entries(server.env)) vi.stubEnv(name, value);
    bucketUrl = `s3://${await server.createBucket()}`;
    query = `?endpoint=${server.endpoint}`;
  });

  describeStore("the S3 driver", async () => {
    const url = `${bucketUrl}/${randomUUID()}/with space${query}`;
    return { store: openS3Store(url, {}), second: openS3Store(url, {}) };
  });
});
