import type { ErrorCode } from "../../../errors.ts";
import { isPgarkError, PgarkError } from "../../../errors.ts";

interface ServiceError {
  readonly name: string;
  readonly message: string;
  readonly $metadata?: {
    readonly httpStatusCode?: number;
    readonly requestId?: string;
    readonly clockSkewCorrected?: boolean;
  };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

type Meaning = readonly [ErrorCode, string | undefined];

const accessDenied: Meaning = [
  "denied",
  "the credentials lack a permission (see the list for s3 in docs/stores.md; without s3:ListBucket even a missing object " +
    "looks like a forbidden one)",
];
const expired: Meaning = ["denied", "the session token has expired: renew the credentials"];
const skewed: Meaning = ["denied", "this machine's clock is wrong: mend it (NTP)"];
const wrongRegion: Meaning = ["usage", "the region is wrong: add ?region=... to the repository's URL"];
const unreachable: Meaning = [
  "unavailable",
  "the endpoint cannot be reached: check its name in the repository's URL, DNS, proxy and firewall",
];
const untrusted: Meaning = [
  "denied",
  "the endpoint's certificate is not trusted: name its authority with ?ca-file=... or NODE_EXTRA_CA_CERTS",
];
const customerKey: Meaning = [
  "denied",
  "the object is encrypted with a customer key: name the very same one with ?customer-key-file=...",
];

/** What a service's error means, and what to do about it; by name first, for a status covers many. */
const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["NoSuchKey", ["not-found", undefined]],
  [
    "NoSuchUpload",
    [
      "refused",
      "somebody aborted the upload, or a lifecycle rule that aborts incomplete uploads gives them too little time",
    ],
  ],
  ["NoSuchBucket", ["usage", "create the bucket, or correct its name in the repository's URL"]],
  ["InvalidBucketName", ["usage", "correct the bucket's name in the repository's URL"]],
  ["PreconditionFailed", ["exists", undefined]],
  ["ConditionalRequestConflict", ["unavailable", undefined]],
  ["SlowDown", ["throttled", undefined]],
  ["ServiceUnavailable", ["throttled", undefined]],
  ["Throttling", ["throttled", undefined]],
  ["ThrottlingException", ["throttled", undefined]],
  ["TooManyRequests", ["throttled", undefined]],
  ["RequestLimitExceeded", ["throttled", undefined]],
  ["BandwidthLimitExceeded", ["throttled", undefined]],
  ["InternalError", ["unavailable", undefined]],
  ["RequestTimeout", ["unavailable", undefined]],
  ["IncompleteBody", ["unavailable", undefined]],
  ["BadDigest", ["unavailable", undefined]],
  ["XAmzContentChecksumMismatch", ["unavailable", undefined]],
  ["AccessDenied", accessDenied],
  ["AllAccessDisabled", ["denied", "the account or the bucket is disabled: ask the store's owner"]],
  [
    "InvalidAccessKeyId",
    ["denied", "the access key is not known there: check which credentials the environment gives"],
  ],
  ["SignatureDoesNotMatch", ["denied", "the secret key is wrong, or a proxy changes requests on their way"]],
  ["ExpiredToken", expired],
  ["ExpiredTokenException", expired],
  ["TokenRefreshRequired", expired],
  ["InvalidToken", ["denied", "the session token is not valid: renew the credentials"]],
  [
    "CredentialsProviderError",
    ["denied", "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"],
  ],
  ["RequestTimeTooSkewed", skewed],
  ["RequestExpired", skewed],
  ["PermanentRedirect", ["usage", "the bucket is in another region: add ?region=... to the repository's URL"]],
  ["AuthorizationHeaderMalformed", wrongRegion],
  ["IllegalLocationConstraintException", wrongRegion],
  [
    "NotImplemented",
    [
      "usage",
      "the store lacks a function that pgark asked for: see conditional-create and checksums in docs/stores.md",
    ],
  ],
  ["InvalidRequest", ["usage", "a setting in the repository's URL does not suit the bucket: see docs/stores.md"]],
  ["InvalidArgument", ["usage", "a setting in the repository's URL does not suit the store: see docs/stores.md"]],
  ["InvalidStorageClass", ["usage", "the store has no such storage class: correct ?storage-class=..."]],
  ["InvalidTag", ["usage", "write tags as ?tags=name=value%26name=value"]],
  ["MissingContentMD5", ["usage", "add ?checksums=required to the repository's URL: the store is older than CRC32"]],
  [
    "InvalidObjectState",
    ["refused", "the object is archived (Glacier): bring it back to a readable storage class first"],
  ],
  ["QuotaExceeded", ["refused", "the store is full: raise the quota, or prune"]],
  ["EntityTooLarge", ["refused", "the store takes no objects of this size"]],
]);

/** Errors of Node's own that say that nobody was reached. */
const unreachableCodes = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"];
const expiredNames = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"];

/** An error of the SDK, of the service or of the network, typed. */
export function s3Error(operation: string, key: string, error: unknown): unknown {
  if (isPgarkError(error)) return error;
  if (!(error instanceof Error)) return new PgarkError("unavailable", String(error), { operation, object: key });
  if (error.name === "AbortError")
    return new PgarkError("aborted", "stopped", { operation, object: key, cause: error });
  const { name, message, $metadata } = error as ServiceError;
  const [code, hint] = meaningOf(error);
  return new PgarkError(code, describe(name, message, $metadata?.httpStatusCode), {
    operation,
    object: key,
    cause: error,
    hint,
    facts: { status: $metadata?.httpStatusCode, requestId: $metadata?.requestId },
  });
}

/** Whether the store took the credentials for a session that is over. */
export function isExpired(error: unknown): boolean {
  return error instanceof Error && expiredNames.includes(error.name);
}

/** Whether the request was refused for its time, and the SDK has since set its clock by the store's. */
export function wasClockCorrected(error: unknown): boolean {
  if (!(error instanceof Error) || (error as ServiceError).$metadata?.clockSkewCorrected !== true) return false;
  return meanings.get(error.name) === skewed;
}

/** How long the store asks to be left alone, in milliseconds. */
export function retryAfterMs(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const text = (error as ServiceError).$response?.headers?.["retry-after"]?.trim();
  if (text === undefined || text === "") return undefined;
  const milliseconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

/** The HTTP status of a service's answer, if there was one. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error ? (error as ServiceError).$metadata?.httpStatusCode : undefined;
}

/** The SDK says "UnknownError" where the service sent no text. */
function describe(name: string, message: string, status: number | undefined): string {
  if (status === undefined) return message === "" ? name : message;
  const text = ["UnknownError", "", name].includes(message) ? "" : `: ${message}`;
  return ["", "Error", "UnknownError", "SyntaxError"].includes(name) || /^\d+$/.test(name)
    ? `the store answered ${status}${text}`
    : `${name}${text}`;
}

function meaningOf(error: Error): Meaning {
  const { name, message } = error;
  const status = statusOf(error);
  // Reading an object of SSE-C without its key is an "InvalidRequest", which means many things.
  if (/^InvalidRequest$/.test(name) && /encrypt|SSE-C|customer/i.test(message)) return customerKey;
  return meanings.get(name) ?? (status === undefined ? localMeaning(error) : statusMeaning(status));
}

function statusMeaning(status: number): Meaning {
  // The store says "NoSuchKey" when it means that. Anything else that answers 404 is not the store, and knows nothing of what
  // is there: taking it for "there is no such WAL" would end a recovery early.
  if (status === 404) {
    return [
      "unavailable",
      "the answer was not an S3 store's: check the endpoint in the repository's URL, and what stands before it",
    ];
  }
  if (status === 412) return ["exists", undefined];
  if (status === 401 || status === 403) return accessDenied;
  if (status === 407) return ["denied", "the proxy wants credentials: see HTTPS_PROXY"];
  if (status === 429 || status === 503) return ["throttled", undefined];
  if (status === 301 || status === 307) return meanings.get("PermanentRedirect") ?? wrongRegion;
  return [status >= 500 || status === 408 || status === 409 ? "unavailable" : "refused", undefined];
}

function localMeaning(error: Error): Meaning {
  const code = "code" in error ? String(error.code) : "";
  if (unreachableCodes.includes(code)) return unreachable;
  if (/^(CERT_|UNABLE_TO_|ERR_TLS_CERT)|SELF_SIGNED/.test(code)) return untrusted;
  if (error.message === "Region is missing")
    return ["usage", "add ?region=... to the repository's URL, or set AWS_REGION"];
  return ["unavailable", undefined];
}
