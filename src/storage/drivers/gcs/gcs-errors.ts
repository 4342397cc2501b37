import type { ErrorCode } from "../../../errors.ts";
import { isPgarkError, PgarkError } from "../../../errors.ts";
import type { HttpAnswer } from "./gcs-http.ts";

type Meaning = readonly [ErrorCode, string | undefined];

const lacksPermission: Meaning = [
  "denied",
  'the credentials lack a permission: give them the role "Storage Object Admin" on the bucket',
];
const wrongKey: Meaning = [
  "denied",
  "the object was written with another encryption key: name its file with ?encryption-key-file=...",
];

/** What a reason in the service's error means, and what to do about it. */
const byReason: Readonly<Record<string, Meaning>> = {
  authError: ["denied", "the access token was refused: renew the credentials, or check this machine's clock"],
  required: [
    "denied",
    "no credentials were sent: set GOOGLE_APPLICATION_CREDENTIALS, or give the machine a service account",
  ],
  forbidden: lacksPermission,
  insufficientPermissions: lacksPermission,
  accountDisabled: ["denied", "the project's account is disabled: look at its billing"],
  userProjectMissing: ["usage", "the bucket's requester pays: add ?user-project=... to the repository's URL"],
  userProjectInvalid: ["usage", "correct user-project in the repository's URL"],
  rateLimitExceeded: ["throttled", undefined],
  userRateLimitExceeded: ["throttled", undefined],
  dailyLimitExceeded: ["refused", "a quota of the project is used up: raise it"],
  quotaExceeded: ["refused", "a quota of the project is used up: raise it"],
  conditionNotMet: ["exists", undefined],
  retentionPolicyNotMet: ["refused", "the object is under retention and cannot go before it ends"],
  objectUnderActiveHold: ["refused", "somebody holds the object: release the hold first"],
  customerEncryptionKeyIsIncorrect: wrongKey,
  resourceIsEncryptedWithCustomerEncryptionKey: wrongKey,
  resourceNotEncryptedWithCustomerEncryptionKey: wrongKey,
  customerEncryptionKeyFormatIsInvalid: ["usage", "make a key with: openssl rand -base64 32"],
};

const byStatus: Readonly<Record<number, Meaning>> = {
  401: byReason["authError"] ?? lacksPermission,
  403: lacksPermission,
  404: ["not-found", undefined],
  407: ["denied", "the proxy wants credentials: put them into HTTPS_PROXY"],
  408: ["unavailable", undefined],
  409: ["unavailable", undefined],
  412: ["exists", undefined],
  429: ["throttled", undefined],
};

interface ServiceError {
  readonly reason: string | undefined;
  readonly message: string;
}

/** An answer that is not the one hoped for, typed. */
export function answerError(operation: string, key: string, answer: HttpAnswer): PgarkError {
  const { reason, message } = serviceError(answer);
  const [code, hint] = meaning(answer.status, reason, message);
  const retryAfterMs = retryAfter(answer);
  return new PgarkError(code, message === "" ? `the store answered ${answer.status}` : message, {
    operation,
    object: key,
    hint: answer.status === 403 && code === "denied" ? naming(message, hint) : hint,
    facts: { status: answer.status, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  });
}

/** No answer at all, or only a part of one. */
export function networkError(operation: string, key: string, error: unknown): PgarkError {
  if (isPgarkError(error)) return error;
  if (!(error instanceof Error)) return new PgarkError("unavailable", String(error), { operation, object: key });
  if (error.name === "AbortError") {
    return new PgarkError("aborted", "stopped", { operation, object: key, cause: error });
  }
  const [code, hint] = networkMeaning("code" in error ? String(error.code) : "");
  return new PgarkError(code, error.message, { operation, object: key, hint, cause: error });
}

/** The seconds or the date of a `Retry-After`, in milliseconds from now. */
function retryAfter({ headers }: HttpAnswer): number | undefined {
  const value = headers["retry-after"];
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) || ms < 0 ? undefined : ms;
}

/** Errors are JSON, but plain text where content was asked for. */
function serviceError({ body, headers }: HttpAnswer): ServiceError {
  const text = body.toString("utf8", 0, 10_000);
  try {
    const { error } = JSON.parse(text) as {
      error?: { message?: string; errors?: readonly { reason?: string }[] };
    };
    return { reason: error?.errors?.[0]?.reason, message: error?.message ?? "" };
  } catch {
    const isPage = (headers["content-type"] ?? "").includes("html") && text.includes("<");
    return { reason: undefined, message: isPage ? "" : text.trim().slice(0, 500) };
  }
}

function meaning(status: number, reason: string | undefined, message: string): Meaning {
  if (status === 404 && message.includes("bucket does not exist")) return noBucket;
  if (status === 400 && /requester pays/i.test(message)) return byReason["userProjectMissing"] ?? lacksPermission;
  // Damaged on its way: what is sent again may arrive whole.
  if (status === 400 && /crc32c|md5/i.test(message)) return ["unavailable", undefined];
  // Where content was asked for, errors come without their reason.
  if (status === 400 && /customer-supplied encryption key|encryption key is incorrect/.test(message)) return wrongKey;
  if (status === 401 && message.startsWith("Anonymous caller")) return byReason["required"] ?? lacksPermission;
  if (status === 403 && /cloud ?kms/i.test(message)) return kmsDenied;
  if (status === 403 && message.includes("active hold")) return byReason["objectUnderActiveHold"] ?? lacksPermission;
  if (status >= 500) return ["unavailable", undefined];
  const known = status === 400 && reason === "required" ? undefined : byReason[reason ?? ""];
  return known ?? byStatus[status] ?? ["refused", undefined];
}

const noBucket: Meaning = ["usage", "create the bucket, or correct its name in the repository's URL"];
const kmsDenied: Meaning = [
  "denied",
  'give the role "Cloud KMS CryptoKey Encrypter/Decrypter" on the key to the project\'s Cloud Storage service agent',
];

/** The service says which permission is missing; that is worth more than any advice. */
function naming(message: string, hint: string | undefined): string | undefined {
  const permission = /\bstorage\.[a-z]+\.[a-zA-Z]+\b/.exec(message)?.[0];
  if (permission === undefined) return hint;
  return `the credentials lack ${permission}: give them the role "Storage Object Admin" on the bucket`;
}

/** What the bucket's absence looks like from an object's point of view. */
export function noSuchBucket(operation: string, bucket: string): PgarkError {
  const [code, hint] = noBucket;
  return new PgarkError(code, "the bucket does not exist", { operation, object: bucket, hint });
}

/** Whether a 404 names the object; any other may come from a wrong endpoint or from a bucket that is not there. */
export function namesTheObject(answer: HttpAnswer): boolean {
  return answer.status === 404 && serviceError(answer).message.startsWith("No such object");
}

function networkMeaning(code: string): Meaning {
  if (["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"].includes(code)) {
    return [
      "unavailable",
      "the endpoint cannot be reached: check its name in the repository's URL, DNS, proxy and firewall",
    ];
  }
  if (code.startsWith("CERT_") || code.includes("SELF_SIGNED") || code.startsWith("UNABLE_TO_")) {
    return [
      "denied",
      "the endpoint's certificate is not trusted: name its authority with ?ca-file=... or NODE_EXTRA_CA_CERTS",
    ];
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return ["denied", "the certificate belongs to another host: use the endpoint's name that stands in it"];
  }
  return ["unavailable", undefined];
}
