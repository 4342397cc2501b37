import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startAzurite } from "../../helpers/azurite.ts";
import { GcsServer } from "../../helpers/gcs-server/gcs-server.ts";
import type { Requirement } from "../../helpers/requirements.ts";
import { startS3Server } from "../../helpers/s3-server.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";

/** A place for a repository, as a user would name it. */
export interface RealStore {
  /** the repository's URL */
  readonly url: string;
  /** credentials and the like, as the cloud's own tools read them */
  readonly env: Readonly<Record<string, string>>;
}

export interface RealStoreKind {
  readonly name: string;
  /** the bundle that pgark loads for it */
  readonly driver: string;
  readonly requirements: readonly Requirement[];
  /** Starts the server, which is stopped after the test file, and makes an empty place in it. */
  readonly start: () => Promise<RealStore>;
}

/** Every store that pgark knows; a new one is one more line. */
export const realStores: readonly RealStoreKind[] = [
  { name: "files", driver: "driver-file", requirements: [], start: startFiles },
  { name: "S3", driver: "driver-s3", requirements: ["radosgw"], start: startS3 },
  { name: "Azure Blob Storage", driver: "driver-azure", requirements: [], start: startAzure },
  { name: "Google Cloud Storage", driver: "driver-gcs", requirements: [], start: startGoogle },
];

async function startFiles(): Promise<RealStore> {
  const { path } = await temporaryDirectory("repository");
  await mkdir(join(path, "root"));
  return { url: `file://${path}/root`, env: {} };
}

async function startS3(): Promise<RealStore> {
  const server = await startS3Server();
  const bucket = await server.createBucket();
  return { url: s3Url(bucket, server.endpoint), env: s3Environment(server.env) };
}

async function startAzure(): Promise<RealStore> {
  const { endpoint, env, createContainer } = await startAzurite();
  const { containerName } = await createContainer();
  return { url: `azure://${containerName}/some/prefix?endpoint=${endpoint}`, env };
}

async function startGoogle(): Promise<RealStore> {
  const { endpoint } = await GcsServer.start();
  return { url: `gs://bucket/some/prefix?endpoint=${endpoint}`, env: {} };
}

export function s3Url(bucket: string, endpoint: string, settings = ""): string {
  return `s3://${bucket}/some/prefix-${randomUUID()}?endpoint=${endpoint}${settings}`;
}

/** Nothing of the machine's own credentials. */
export function s3Environment(credentials: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const nowhere = { AWS_CONFIG_FILE: "/nonexistent", AWS_SHARED_CREDENTIALS_FILE: "/nonexistent" };
  return { ...nowhere, AWS_EC2_METADATA_DISABLED: "true", ...credentials };
}
