import { PgarkError } from "../../../errors.ts";
import type { StoreUrl } from "../../store-url.ts";
import { parseStoreUrl } from "../../store-url.ts";

/** What a `gs://` URL can say; documented in docs/stores.md. */
export interface GcsSettings {
  readonly url: StoreUrl;
  /** `https://host[:port]`, for private endpoints and emulators */
  readonly endpoint: string | undefined;
  readonly project: string | undefined;
  /** the project that pays for requests (requester pays) */
  readonly userProject: string | undefined;
  readonly storageClass: string | undefined;
  /** a key of Cloud KMS (CMEK), instead of the bucket's default: `projects/P/locations/L/keyRings/R/cryptoKeys/K` */
  readonly kmsKeyName: string | undefined;
  /** a file with 32 bytes, raw or in base64 (CSEK) */
  readonly encryptionKeyFile: string | undefined;
  /** object retention, which the bucket must have enabled */
  readonly lock: { readonly mode: "Unlocked" | "Locked"; readonly days: number } | undefined;
  /** a PEM file of certificate authorities, for an endpoint with one of its own */
  readonly caFile: string | undefined;
}

const known = [
  "endpoint",
  "project",
  "user-project",
  "requester-pays",
  "storage-class",
  "kms-key-name",
  "encryption-key-file",
  "lock-mode",
  "lock-days",
  "ca-file",
] as const;

/** Reads a `gs://` URL; throws `usage`. */
export function parseGcsUrl(text: string): GcsSettings {
  const url = parseStoreUrl(text, known);
  const { settings } = url;
  const kmsKeyName = settings.text("kms-key-name");
  const encryptionKeyFile = settings.text("encryption-key-file");
  if (kmsKeyName !== undefined && encryptionKeyFile !== undefined) {
    throw badUrl(text, "an object has one key: kms-key-name and encryption-key-file exclude each other", "keep one");
  }
  return {
    url,
    endpoint: endpointOf(url),
    project: settings.text("project"),
    userProject: userProjectOf(url),
    storageClass: settings.text("storage-class"),
    kmsKeyName,
    encryptionKeyFile,
    lock: lockOf(url),
    caFile: settings.text("ca-file"),
  };
}

function endpointOf({ text, settings }: StoreUrl): string | undefined {
  const endpoint = settings.text("endpoint");
  if (endpoint === undefined || (/^https?:\/\//.test(endpoint) && URL.canParse(endpoint))) return endpoint;
  throw badUrl(text, `the endpoint "${endpoint}" is not a URL`, "write it as endpoint=https://host:port");
}

function userProjectOf({ text, settings }: StoreUrl): string | undefined {
  const named = settings.text("user-project");
  if (named !== undefined || settings.flag("requester-pays") !== true) return named;
  const project = settings.text("project");
  if (project !== undefined) return project;
  throw badUrl(text, "requester-pays needs a project that pays", "name it with user-project=...");
}

function lockOf({ text, settings }: StoreUrl): GcsSettings["lock"] {
  const mode = settings.oneOf("lock-mode", "Unlocked", "Locked");
  const days = settings.number("lock-days");
  if (mode === undefined && days === undefined) return undefined;
  if (mode !== undefined && days !== undefined && days > 0) return { mode, days };
  throw badUrl(text, "lock-mode and lock-days go together", "write both: lock-mode=Unlocked&lock-days=30");
}

function badUrl(text: string, problem: string, hint: string): PgarkError {
  return new PgarkError("usage", problem, { operation: "open repository", object: text, hint });
}
