import type { ErrorCode } from "../../../errors.ts";
import { isPgarkError, PgarkError } from "../../../errors.ts";

type Meaning = readonly [code: ErrorCode, hint?: string];

const wrongSecret =
  "the account's key or the SAS is wrong or has expired, or this machine's clock is off by more than 15 minutes";
const roleMissing =
  'the identity needs the role "Storage Blob Data Contributor" on the container: grant it, and allow some minutes';
const sasLacking = "the SAS must allow read, add, create, write, delete and list on the container (sp=racwdl, sr=c)";
const badSetting = "the account does not take a setting of the repository's URL: see azure in docs/stores.md";
const noCredentials =
  "no credentials were found: set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or give the machine a managed identity";

/** What the service's error codes mean, and what to do about them; by code first, for a status covers many. */
const meanings: Readonly<Record<string, Meaning>> = {
  BlobNotFound: ["not-found"],
  ContainerNotFound: ["usage", "create the container, or correct its name in the repository's URL"],
  ContainerBeingDeleted: ["usage", "the container is being deleted: create it again in a minute, or name another"],
  ContainerDisabled: ["denied", "the container is disabled: ask the account's administrator"],
  ResourceNotFound: ["usage", "check the account and the container in the repository's URL, and the credentials"],
  InvalidResourceName: ["usage", "a container's name has 3 to 63 lower-case letters, digits and single hyphens"],
  OutOfRangeInput: ["usage", "a container's name has 3 to 63 characters, a blob's at most 1,024"],
  InvalidUri: ["usage", "check account, endpoint and container in the repository's URL"],
  AccountRequiresHttps: ["usage", "the account takes https only: correct ?endpoint=... in the repository's URL"],

  BlobAlreadyExists: ["exists"],
  ConditionNotMet: ["exists"],
  // What a policy or a SAS without the right to overwrite answers where an object is already.
  BlobImmutableDueToPolicy: ["refused", "an immutability policy protects the object until its time is over"],
  UnauthorizedBlobOverwrite: ["denied", "the SAS has no right to write over an object (w)"],
  SnapshotsPresent: ["refused", "the object has snapshots, which pgark did not make: delete them first"],
  LeaseIdMissing: ["refused", "somebody holds a lease on the object: break the lease first"],
  BlobArchived: ["refused", "the object is in the archive tier: bring it back to a readable tier first"],
  BlobBeingRehydrated: ["refused", "the object is on its way out of the archive tier: wait until it is there"],
  BlockCountExceedsLimit: ["refused"],
  RequestBodyTooLarge: ["refused"],

  AuthenticationFailed: ["denied", wrongSecret],
  InvalidAuthenticationInfo: ["denied", wrongSecret],
  NoAuthenticationInformation: ["denied", noCredentials],
  PublicAccessNotPermitted: ["denied", noCredentials],
  AuthorizationFailure: ["denied", `check the account's firewall; ${sasLacking}`],
  AuthorizationPermissionMismatch: ["denied", `${roleMissing}; ${sasLacking}`],
  AuthorizationResourceTypeMismatch: ["denied", "the SAS must be for containers and objects (srt=co)"],
  AuthorizationServiceMismatch: ["denied", "the SAS must be for the blob service (ss=b)"],
  AuthorizationProtocolMismatch: ["denied", "the SAS is for https only"],
  AuthorizationSourceIPMismatch: ["denied", "the SAS is for other addresses than this machine's"],
  InsufficientAccountPermissions: ["denied", roleMissing],
  KeyBasedAuthenticationNotPermitted: [
    "denied",
    'the account takes no keys: use an identity with the role "Storage Blob Data Contributor"',
  ],
  AccountIsDisabled: ["denied", "the account is disabled: look into the subscription"],

  ServerBusy: ["throttled"],
  OperationTimedOut: ["unavailable"],
  InternalError: ["unavailable"],
  AccountBeingCreated: ["unavailable"],
  Md5Mismatch: ["unavailable"],
  Crc64Mismatch: ["unavailable"],

  UnsupportedHeader: ["usage", badSetting],
  InvalidHeaderValue: ["usage", badSetting],
  InvalidInput: ["usage", badSetting],
  FeatureNotSupportedForAccount: ["usage", badSetting],
  InvalidBlobTier: ["usage", badSetting],
  FeatureVersionMismatch: ["usage", badSetting],
};

/** What a service answered: the answer to a request or to one in a batch. */
export interface AzureAnswer {
  readonly status: number;
  /** the service's own code; a proxy's or another service's answer has none */
  readonly code: string | undefined;
  readonly message?: string | undefined;
  readonly requestId?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** An error of the SDK, of the service, of the credentials or of the network, typed. */
export function azureError(
  operation: string,
  key: string,
  error: unknown,
  signal: AbortSignal | undefined,
): PgarkError {
  if (isPgarkError(error)) return error;
  const details = { operation, object: key };
  if (signal?.aborted) return new PgarkError("aborted", "stopped", { ...details, cause: signal.reason });
  if (!(error instanceof Error)) return new PgarkError("unavailable", String(error), details);
  const answer = answerOf(error);
  if (answer !== undefined) return answerError(operation, key, answer);
  const ofCredential = credentialMeaning(error);
  const [code, hint] = ofCredential ?? networkMeaning(error);
  // The storage client's errors are no cause: they carry the request, and with it a SAS or a token.
  const cause = ofCredential === undefined ? undefined : error;
  return new PgarkError(code, firstLine(error.message) || error.name, { ...details, hint, cause });
}

/** What the service answered, typed. Only its own "BlobNotFound" is `not-found`: anybody can say 404. */
export function answerError(operation: string, key: string, answer: AzureAnswer): PgarkError {
  const { status, code, requestId, retryAfterMs } = answer;
  const [meaning, hint] = (code === undefined ? undefined : meanings[code]) ?? byStatus(status);
  const text = firstLine(answer.message ?? "");
  const problem = `${code ?? `the store answered ${status}`}${text === "" || text === code ? "" : `: ${text}`}`;
  return new PgarkError(meaning, problem, {
    operation,
    object: key,
    hint,
    facts: { status, code, requestId, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  });
}

interface SdkError extends Error {
  readonly statusCode?: number;
  readonly code?: string;
  readonly details?: { readonly errorCode?: string };
  readonly response?: { readonly headers: { get(name: string): string | undefined } };
}

function answerOf(error: SdkError): AzureAnswer | undefined {
  const { statusCode, details, response } = error;
  // The code of a HEAD comes in a header alone, as there is no body.
  const code = details?.errorCode ?? (error.name === "RestError" ? error.code : undefined);
  // The SDK also throws for a 200 whose body it cannot read; that is no answer.
  if (error.name !== "RestError" || statusCode === undefined || statusCode < 300) return undefined;
  return {
    status: statusCode,
    code: code === "PARSE_ERROR" ? undefined : code,
    message: error.message,
    requestId: response?.headers.get("x-ms-request-id"),
    retryAfterMs: retryAfter(response?.headers.get("retry-after")),
  };
}

/** Seconds; the service sends no dates. */
function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

function byStatus(status: number): Meaning {
  if (status === 401 || status === 403) return ["denied", `${roleMissing}; or ${wrongSecret}`];
  if (status === 404) return ["unavailable", "the answer is not a blob service's: check account, endpoint and proxy"];
  if (status === 429 || status === 503) return ["throttled"];
  if (status === 407) return ["denied", "the proxy wants a user and a password: http://user:password@host:port"];
  return [status >= 500 || status === 408 || status === 409 ? "unavailable" : "refused"];
}

/**
 * `@azure/identity` has classes of its own, and says that a credential is unavailable for lack of it and for trouble on the
 * way alike; the cause tells them apart.
 */
function credentialMeaning(error: Error): Meaning | undefined {
  const { name } = error;
  if (!/^(CredentialUnavailable|AggregateAuthentication|AuthenticationRequired|Authentication)Error$/.test(name)) {
    return undefined;
  }
  if (isPassing(error)) return ["unavailable"];
  if (name !== "AuthenticationError") return ["denied", noCredentials];
  return ["denied", "Microsoft Entra ID gave no token: check the identity that the environment names"];
}

/** Whether `error`, or what is behind it, is of the network or of a server's own making. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const status = Number("statusCode" in error ? error.statusCode : "status" in error ? error.status : 0);
  if (status === 429 || status >= 500) return true;
  if ("code" in error && /^E[A-Z]|^REQUEST_SEND_ERROR$/.test(String(error.code))) return true;
  const behind: readonly unknown[] = "errors" in error && Array.isArray(error.errors) ? error.errors : [error.cause];
  return behind.some(isPassing);
}

function networkMeaning(error: Error): Meaning {
  const code = "code" in error ? String(error.code) : "";
  if (["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "EHOSTUNREACH"].includes(code)) {
    return [
      "unavailable",
      "the endpoint cannot be reached: check the account's name in the repository's URL, DNS, proxy and firewall",
    ];
  }
  if (/CERT|SELF_SIGNED|^UNABLE_TO_/.test(code)) {
    return [
      "denied",
      "the endpoint's certificate is not trusted: name its authority with ?ca-file=... or NODE_EXTRA_CA_CERTS",
    ];
  }
  return ["unavailable"];
}

/** The service appends the request's id and the time, on lines of their own. */
function firstLine(message: string): string {
  return message.split("\n", 1)[0]?.trim().replace(/\.$/, "") ?? "";
}
