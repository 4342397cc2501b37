import path from "node:path";
import { fileURLToPath } from "node:url";
import { PgarkError } from "../errors.ts";
import type { ObjectStore } from "./object-store.ts";

export interface OpenStoreOptions {
  /** for proxies and the like; credentials are each cloud's own affair */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** whether a repository is to be made: a directory that is missing or empty is no disk that is not mounted */
  readonly create?: boolean | undefined;
}

/**
 * Opens the store that `url` names. Only that driver's code is loaded. A plain absolute path is a file repository too.
 * Throws `usage` for anything else.
 */
export async function openStore(url: string, options: OpenStoreOptions): Promise<ObjectStore> {
  if (path.isAbsolute(url)) return openFileStore(path.resolve(url), options);
  const scheme = schemeOf(url);
  if (scheme === "file") return openFileStore(filePathOf(url), options);
  if (scheme === "s3") {
    const { openS3Store } = await import("./drivers/s3/s3-store.ts");
    return openS3Store(url, options.environment);
  }
  if (scheme === "gs") {
    const { openGcsStore } = await import("./drivers/gcs/gcs-store.ts");
    return openGcsStore(url, options.environment);
  }
  if (scheme === "azure") {
    const { openAzureStore } = await import("./drivers/azure/azure-store.ts");
    return openAzureStore(url, options.environment);
  }
  throw new PgarkError("usage", scheme === undefined ? "not a repository URL" : `no driver for "${scheme}:"`, {
    operation: "open repository",
    // Without what somebody may have written into it as a user and password.
    object: url.replace(/\/\/[^/?#]*@/, "//"),
    hint: "a repository is named by its URL, such as file:///srv/pgark or s3://bucket/prefix",
  });
}

/**
 * Whether the store behind `url` is reached over a network by its driver, which then has all patience that is due; to retry
 * its failures once more would multiply the waiting.
 */
export function retriesByItself(url: string): boolean {
  return !path.isAbsolute(url) && schemeOf(url) !== "file";
}

function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
}

async function openFileStore(root: string, { create = false }: OpenStoreOptions): Promise<ObjectStore> {
  const { FileStore } = await import("./drivers/file/file-store.ts");
  return new FileStore(root, { create });
}

function filePathOf(url: string): string {
  try {
    return path.resolve(fileURLToPath(url));
  } catch (error) {
    throw new PgarkError("usage", "not a file URL", {
      operation: "open repository",
      object: url,
      cause: error,
      hint: "a file repository is written with three slashes: file:///srv/pgark",
    });
  }
}
