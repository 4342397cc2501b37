import type { ErrorCode } from "../../../errors.ts";
import { isPgarkError, PgarkError } from "../../../errors.ts";

interface ServiceError {
  readonly name: string;
  readonly message: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** What a service's error means, and what to do about it; by name first, for a status covers many. */
const meanings: Readonly<Record<string, readonly [ErrorCode, string | undefined]>> = {
  NoSuchKey: ["not-found", undefined],
  NotFound: ["not-found", undefined],
  NoSuchBucket: ["usage", "create the bucket, or correct its name in the repository's URL"],
  PreconditionFailed: ["exists", undefined],
  ConditionalRequestConflict: ["unavailable", undefined],
  SlowDown: ["throttled", undefined],
  ServiceUnavailable: ["throttled", undefined],
  ThrottlingException: ["throttled", undefined],
  TooManyRequests: ["throttled", undefined],
  RequestLimitExceeded: ["throttled", undefined],
  AccessDenied: ["denied", "the credentials lack a permission: see the list for s3 in docs/stores.md"],
  InvalidAccessKeyId: ["denied", "the access key is not known there: check which credentials the environment gives"],
  SignatureDoesNotMatch: ["denied", "the secret key is wrong, or a proxy changes requests on their way"],
  ExpiredToken: ["denied", "the session token has expired: renew the credentials"],
  ExpiredTokenException: ["denied", "the session token has expired: renew the credentials"],
  InvalidToken: ["denied", "the session token is not valid: renew the credentials"],
  TokenRefreshRequired: ["denied", "the session token must be renewed"],
  CredentialsProviderError: [
    "denied",
    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role",
  ],
  RequestTimeTooSkewed: ["denied", "this machine's clock is wrong: mend it (NTP)"],
  PermanentRedirect: ["usage", "the bucket is in another region: add ?region=... to the repository's URL"],
  AuthorizationHeaderMalformed: ["usage", "the region is wrong: add ?region=... to the repository's URL"],
  NotImplemented: [
    "usage",
    "the store lacks a function that pgark asked for: see conditional-create and checksums in docs/stores.md",
  ],
  InvalidRequest: ["usage", undefined],
  BadDigest: ["unavailable", undefined],
  XAmzContentChecksumMismatch: ["unavailable", undefined],
  InvalidObjectState: ["refused", "the object is archived (Glacier): bring it back to a readable storage class first"],
  QuotaExceeded: ["refused", "the store is full"],
};

/** An error of the SDK, of the service or of the network, typed. */
export function s3Error(operation: string, key: string, error: unknown): unknown {
  if (isPgarkError(error)) return error;
  if (!(error instanceof Error)) return new PgarkError("unavailable", String(error), { operation, object: key });
  if (error.name === "AbortError")
    return new PgarkError("aborted", "stopped", { operation, object: key, cause: error });
  const { name, message, $metadata } = error as ServiceError;
  const [code, hint] = meanings[name] ?? byStatus($metadata?.httpStatusCode, error);
  return new PgarkError(code, describe(name, message, $metadata?.httpStatusCode), {
    operation,
    object: key,
    cause: error,
    hint,
    facts: { status: $metadata?.httpStatusCode, requestId: $metadata?.requestId },
  });
}

/** The SDK says "UnknownError" where the service sent no text. */
function describe(name: string, message: string, status: number | undefined): string {
  if (status === undefined) return message;
  const text = ["UnknownError", "", name].includes(message) ? "" : `: ${message}`;
  return name === "" || name === "Error" || /^\d+$/.test(name)
    ? `the store answered ${status}${text}`
    : `${name}${text}`;
}

function byStatus(status: number | undefined, error: Error): readonly [ErrorCode, string | undefined] {
  if (status === undefined) return networkMeaning(error);
  if (status === 404) return ["not-found", undefined];
  if (status === 412) return ["exists", undefined];
  if (status === 401 || status === 403) return meanings["AccessDenied"] ?? ["denied", undefined];
  if (status === 429 || status === 503) return ["throttled", undefined];
  if (status === 301 || status === 307) return meanings["PermanentRedirect"] ?? ["usage", undefined];
  return [status >= 500 || status === 408 || status === 409 ? "unavailable" : "refused", undefined];
}

function networkMeaning(error: Error): readonly [ErrorCode, string | undefined] {
  const code = "code" in error ? String(error.code) : "";
  if (["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH"].includes(code)) {
    return [
      "unavailable",
      "the endpoint cannot be reached: check its name in the repository's URL, DNS, proxy and firewall",
    ];
  }
  if (code.startsWith("CERT_") || code.includes("SELF_SIGNED") || code === "UNABLE_TO_VERIFY_LEAF_SIGNATURE") {
    return [
      "denied",
      "the endpoint's certificate is not trusted: name its authority with ?ca-file=... or NODE_EXTRA_CA_CERTS",
    ];
  }
  return ["unavailable", undefined];
}
