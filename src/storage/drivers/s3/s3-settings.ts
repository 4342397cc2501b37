import type { StoreUrl } from "../../store-url.ts";
import { parseStoreUrl } from "../../store-url.ts";

/** What an `s3://` URL can say; documented in docs/stores.md. */
export interface S3Settings {
  readonly url: StoreUrl;
  readonly region: string | undefined;
  /** for stores other than AWS */
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
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

/** Reads an `s3://` URL; throws `usage`. */
export function parseS3Url(text: string): S3Settings {
  const url = parseStoreUrl(text, known);
  const { settings } = url;
  return {
    url,
    region: settings.text("region"),
    endpoint: settings.text("endpoint"),
    // Nothing but AWS can be expected to have a host name for each bucket.
    pathStyle: settings.flag("path-style") ?? settings.text("endpoint") !== undefined,
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
}
