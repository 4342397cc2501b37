import { DeleteObjectCommand, ListObjectsV2Command, PutBucketPolicyCommand, S3Client } from "@aws-sdk/client-s3";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "../../helpers/fault-proxy.ts";
import type { PgarkResult } from "../../helpers/pgark.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { type S3Server, startS3Server } from "../../helpers/s3-server.ts";
import { s3Environment, s3Url } from "./real-stores.ts";
import { createStoredCluster, type StoredCluster } from "./stored-cluster.ts";

interface CheckAnswer {
  readonly ok: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
    readonly detail: string;
    readonly hint?: string;
  }[];
}

const storeChecks = ["write", "create only", "large objects", "read", "missing objects", "list", "delete"];
const serverChecks = ["server", "cluster", "settings", "summarize_wal", "archiving"];

describeWith(["radosgw"], "pgark check", () => {
  let server: S3Server;
  let proxy: FaultProxy;
  let bucket: string;
  let url: string;
  let stored: StoredCluster;
  let raw: S3Client;

  beforeAll(async () => {
    server = await startS3Server();
    proxy = await startFaultProxy({ target: server.endpoint });
    bucket = await server.createBucket();
    url = s3Url(bucket, proxy.endpoint);
    const config = { archive_timeout: "1min" };
    stored = await createStoredCluster({ url, env: s3Environment(server.env) }, { config });
    await stored.cluster.start();
    raw = new S3Client({
      endpoint: server.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    });
  });

  beforeEach(() => {
    proxy.reset();
  });

  async function answerOf(result: Promise<PgarkResult>): Promise<CheckAnswer> {
    const { stdout, stderr } = await result;
    if (stdout === "") throw new Error(`pgark check answered nothing:\n${stderr}`);
    return JSON.parse(stdout) as CheckAnswer;
  }

  async function archiveCommand(): Promise<string> {
    const [row] = await stored.cluster.query<{ command: string }>(
      "select current_setting('archive_command') as command",
    );
    return row?.command ?? "";
  }

  test("finds that all is well, one line after the other, and leaves nothing behind", async () => {
    const text = await stored.run(["check"]);
    expect(text).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining("rror") as string });
    const lines = text.stdout.trim().split("\n");
    expect(lines.map((line) => line.replace(/:.*/, ""))).toEqual([
      ...["repository", ...storeChecks, ...serverChecks].map((name) => `ok       ${name}`),
      "all is well",
    ]);
    expect(text.stdout).toContain("a second writer is refused by the store");
    expect(text.stdout).toMatch(/a WAL segment was switched and arrived in the repository/);
    expect(text.stdout).not.toMatch(/test(access|secret)/);
    const answer = await answerOf(stored.run(["check", "--json"]));
    expect(answer.ok).toBe(true);
    expect(answer.checks.map(({ name }) => name)).toEqual(["repository", ...storeChecks, ...serverChecks]);
    const all = await raw.send(new ListObjectsV2Command({ Bucket: bucket }));
    expect(all.Contents?.filter(({ Key }) => Key?.includes("/check-"))).toEqual([]);
    const store = await stored.json<CheckAnswer>(["check", "--store-only"]);
    expect(store.checks.map(({ name }) => name)).toEqual(["repository", ...storeChecks]);
  });

  test("says that the secret key is wrong, and does not say the key", async () => {
    const { exitCode, stdout, stderr } = await stored.run(["check"], { AWS_SECRET_ACCESS_KEY: "wr0ngsecret" });
    expect(exitCode).toBe(8);
    expect(stderr).toContain("SignatureDoesNotMatch");
    expect(stderr).toContain("the secret key is wrong");
    expect(stdout + stderr).not.toContain("wr0ngsecret");
  });

  test("says that the store lets a second writer replace an object, and what to do", async () => {
    proxy.add({
      matches: ({ headers }) => headers["if-none-match"] === "*",
      fault: { kind: "pass" },
      // What a store does that does not know the condition.
      before: async ({ url: path }) => {
        const Key = decodeURIComponent(new URL(path, url.replace(/^s3/, "http")).pathname).slice(bucket.length + 2);
        await raw.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
      },
    });
    const result = await stored.run(["check", "--store-only"]);
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toMatch(
      /^failed {3}create only: the store lets a second writer replace an object\n {9}to do: .*conditional-create=no/m,
    );
    expect(result.stdout).toMatch(/^ok {7}read: /m);
    expect(result.stdout).toContain("something is wrong: see the lines above");

    const told = await stored.run(["check", "--store-only", "--repository", `${url}&conditional-create=no`]);
    expect(told.exitCode).toBe(0);
    expect(told.stdout).toMatch(/^ok {7}create only: .*two at once can pass/m);
  });

  test("says which permission is missing", async () => {
    const other = s3Url(await server.createBucket(), proxy.endpoint);
    const otherBucket = /\/\/([^/]+)/.exec(other)?.[1] ?? "";
    const config = { archive_timeout: "1min" };
    const denied = await createStoredCluster({ url: other, env: s3Environment(server.env) }, { config });
    const forbid = async (...Action: readonly string[]): Promise<void> => {
      const Resource = [`arn:aws:s3:::${otherBucket}`, `arn:aws:s3:::${otherBucket}/*`];
      const Policy = JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Deny", Principal: "*", Action, Resource }],
      });
      await raw.send(new PutBucketPolicyCommand({ Bucket: otherBucket, Policy }));
    };
    await forbid("s3:PutObject");
    const write = await denied.run(["check", "--store-only"]);
    expect(write.exitCode).toBe(1);
    expect(write.stdout).toMatch(/^failed {3}write: AccessDenied.*\n {9}to do: the credentials lack a permission/m);
    await forbid("s3:DeleteObject");
    const remove = await denied.run(["check", "--store-only"]);
    expect(remove.exitCode).toBe(1);
    expect(remove.stdout).toMatch(/^ok {7}list: .*\nfailed {3}delete: AccessDenied.*\n {9}to do: .*permission/m);
  });

  test("says that nothing arrives when archive_command is broken, and why", async () => {
    const before = await archiveCommand();
    await stored.cluster.configure({ archive_command: "false" });
    try {
      const { ok, checks } = await answerOf(stored.run(["check", "--json", "--wal-timeout", "3s"]));
      expect(ok).toBe(false);
      expect(checks.find(({ name }) => name === "archive_command")).toMatchObject({
        status: "warning",
        detail: "does not call pgark: false",
        hint: expect.stringContaining("pgark wal-push") as string,
      });
      const archiving = checks.find(({ name }) => name === "archiving");
      expect(archiving).toMatchObject({ status: "failed" });
      expect(archiving?.detail).toMatch(
        /^WAL segment [0-9A-F]{24}, which the server was made to finish, did not arrive within 3 s$/,
      );
      expect(archiving?.hint).toMatch(/archiving of [0-9A-F]{24} failed last at .*: the reason is in PostgreSQL's log/);
    } finally {
      await stored.cluster.configure({ archive_command: before });
    }
  });

  test("says what to set when archiving is off or has no command", async () => {
    const before = await archiveCommand();
    try {
      await stored.cluster.configure({ archive_command: "" });
      const empty = await stored.run(["check"]);
      expect(empty.exitCode).toBe(1);
      expect(empty.stdout).toMatch(/^failed {3}archive_command: is empty\n {9}to do: set archive_command = /m);
      await stored.cluster.configure({ archive_mode: false });
      await stored.cluster.restart();
      const off = await stored.run(["check"]);
      expect(off.exitCode).toBe(1);
      expect(off.stdout).toMatch(/^failed {3}archive_mode: is off\n {9}to do: set archive_mode = on and restart/m);
      expect(`${empty.stdout}${off.stdout}`).not.toContain("archiving:");
    } finally {
      await stored.cluster.configure({ archive_mode: true, archive_command: before });
      await stored.cluster.restart();
    }
  });

  test("says so when it is not the server of this cluster, or none at all", async () => {
    const nobody = await stored.run(["check"], { PGPORT: "1" });
    expect(nobody.exitCode).toBe(1);
    expect(nobody.stdout).toMatch(/^failed {3}server: .*\n {9}to do: /m);
    expect(nobody.stdout).toMatch(/^ok {7}delete: /m);
  });
});
