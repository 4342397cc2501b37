import { PgarkError } from "../../../errors.ts";
import type { StoreUrl } from "../../store-url.ts";
import { parseStoreUrl } from "../../store-url.ts";

/** What an `s3://` URL can say; documented in docs/stores.md. */
export interface S3Settings {
  readonly url: StoreUrl;
  readonly region: string | undefined;
  /** for stores other than AWS */
  readonly endpoint: string | undefined;
  /** whether the bucket stands in the path rather than in the host's name; undefined: wherever the store is not AWS */
  readonly pathStyle: boolean | undefined;
  /** a PEM file of certificate authorities, for an endpoint with one of its own */
  readonly caFile: string | undefined;
  readonly profile: string | undefined;
  readonly storageClass: string | undefined;
  readonly encryption: "AES256" | "aws:kms" | "aws:kms:dsse" | undefined;
  readonly kmsKeyId: string | undefined;
  /** a file with 32 bytes, raw or in base64 (SSE-C) */
  readonly customerKeyFile: string | undefined;
  readonly requesterPays: boolean;
  /** `a=b&c=d`, as the service takes it */
  readonly tags: string | undefined;
  readonly lockMode: "GOVERNANCE" | "COMPLIANCE" | undefined;
  readonly lockDays: number | undefined;
  /** whether `If-None-Match: *` holds; without it, existence is looked up before each write */
  readonly conditionalCreate: boolean;
  /** `required`: only where the service demands them, for old clones that trip over checksum headers */
  readonly checksums: "supported" | "required";
}

const known = [
  "region",
  "endpoint",
  "path-style",
  "ca-file",
  "profile",
  "storage-class",
  "encryption",
  "kms-key-id",
  "customer-key-file",
  "requester-pays",
  "tags",
  "lock-mode",
  "lock-days",
  "conditional-create",
  "checksums",
] as const;

/** Reads an `s3://` URL; throws `usage`, also for settings that contradict each other. */
export function parseS3Url(text: string): S3Settings {
  const url = parseStoreUrl(text, known);
  const { settings } = url;
  const parsed: S3Settings = {
    url,
    region: settings.text("region"),
    endpoint: settings.text("endpoint"),
    pathStyle: settings.flag("path-style"),
    caFile: settings.text("ca-file"),
    profile: settings.text("profile"),
    storageClass: settings.text("storage-class"),
    encryption: settings.oneOf("encryption", "AES256", "aws:kms", "aws:kms:dsse"),
    kmsKeyId: settings.text("kms-key-id"),
    customerKeyFile: settings.text("customer-key-file"),
    requesterPays: settings.flag("requester-pays") ?? false,
    tags: settings.text("tags"),
    lockMode: settings.oneOf("lock-mode", "GOVERNANCE", "COMPLIANCE"),
    lockDays: settings.number("lock-days"),
    conditionalCreate: settings.flag("conditional-create") ?? true,
    checksums: settings.oneOf("checksums", "supported", "required") ?? "supported",
  };
  checkTogether(parsed);
  return parsed;
}

function checkTogether(settings: S3Settings): void {
  const { url, endpoint, encryption, kmsKeyId, customerKeyFile, lockMode, lockDays } = settings;
  const refuse = (problem: string, hint: string): never => {
    throw new PgarkError("usage", problem, { operation: "open repository", object: url.text, hint });
  };
  if (endpoint !== undefined && !isEndpoint(endpoint)) {
    refuse(
      'the setting "endpoint" is not the URL of a server',
      "write it as https://host or https://host:port, without user or password",
    );
  }
  if (kmsKeyId !== undefined && encryption?.startsWith("aws:kms") !== true) {
    refuse('"kms-key-id" goes with encryption=aws:kms', "add &encryption=aws:kms");
  }
  if (customerKeyFile !== undefined && encryption !== undefined) {
    refuse('"customer-key-file" and "encryption" exclude each other', "the store encrypts with one key: leave one out");
  }
  if ((lockMode === undefined) !== (lockDays === undefined) || lockDays === 0) {
    refuse('"lock-mode" and "lock-days" go together', "write both, such as lock-mode=COMPLIANCE&lock-days=30");
  }
}

function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
}
