import { randomUUID } from "node:crypto";
import { S3Client } from "@aws-sdk/client-s3";
import { vi } from "vitest";
import { openS3Store, type S3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import type { S3Tuning } from "../../src/storage/drivers/s3/s3-tuning.ts";
import { type FaultProxy, type SeenRequest, startFaultProxy } from "../helpers/fault-proxy.ts";
import { type S3Server, startS3Server } from "../helpers/s3-server.ts";

/** A real S3 server with a proxy before it that breaks what it is told to. */
export interface FaultyS3 {
  readonly server: S3Server;
  readonly proxy: FaultProxy;
  readonly bucket: string;
  /** past the proxy */
  readonly raw: S3Client;
  /** A store through the proxy, in a folder of its own. Its pauses take no time; `pauses` has how long they would have been. */
  open(options?: OpenOptions): OpenedS3;
}

export interface OpenOptions {
  /** settings in the URL, without the endpoint */
  readonly settings?: string;
  readonly bucket?: string;
  readonly tuning?: Partial<S3Tuning>;
}

export interface OpenedS3 {
  readonly store: S3Store;
  /** of the store, ending in a slash */
  readonly prefix: string;
  /** milliseconds */
  readonly pauses: readonly number[];
}

/** Puts the server's credentials into the environment of this process, where the SDK looks for them. */
export async function startFaultyS3(): Promise<FaultyS3> {
  const server = await startS3Server();
  useCredentials(server.env);
  const bucket = await server.createBucket();
  const proxy = await startFaultProxy({ target: server.endpoint });
  const raw = new S3Client({
    endpoint: server.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  return {
    server,
    proxy,
    bucket,
    raw,
    open(options = {}) {
      const prefix = `${randomUUID()}/`;
      const pauses: number[] = [];
      const settings = options.settings === undefined ? "" : `&${options.settings}`;
      const url = `s3://${options.bucket ?? bucket}/${prefix}?endpoint=${proxy.endpoint}${settings}`;
      const sleep = async (milliseconds: number): Promise<void> => {
        pauses.push(milliseconds);
      };
      return { store: openS3Store(url, {}, { sleep, random: () => 0, ...options.tuning }), prefix, pauses };
    },
  };
}

/** What the SDK finds in the environment, and nowhere else. */
export function useCredentials(environment: Readonly<Record<string, string>>): void {
  const nowhere = {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SESSION_TOKEN: undefined,
    AWS_PROFILE: undefined,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined,
    AWS_CONFIG_FILE: "/nonexistent/config",
    AWS_SHARED_CREDENTIALS_FILE: "/nonexistent/credentials",
    AWS_EC2_METADATA_DISABLED: "true",
  };
  for (const [name, value] of Object.entries({ ...nowhere, ...environment })) vi.stubEnv(name, value);
}

export const isPut = ({ method, url }: SeenRequest): boolean => method === "PUT" && !url.includes("uploadId=");
export const isPart = ({ method, url }: SeenRequest): boolean => method === "PUT" && url.includes("uploadId=");
export const isGet = ({ method }: SeenRequest): boolean => method === "GET";
export const isHead = ({ method }: SeenRequest): boolean => method === "HEAD";
export const isBegin = ({ method, url }: SeenRequest): boolean => method === "POST" && /[?&]uploads\b/.test(url);
export const isComplete = ({ method, url }: SeenRequest): boolean => method === "POST" && url.includes("uploadId=");
export const isDelete = ({ method, url }: SeenRequest): boolean => method === "POST" && /[?&]delete\b/.test(url);
export const any = (): boolean => true;
