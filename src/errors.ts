/**
 * Every failure that pgark can foresee. The code, not the class, is what callers look at: bundles are built apart from one
 * another, so `instanceof` does not hold across them.
 */
export type ErrorCode =
  /** the command line or the configuration is wrong */
  | "usage"
  /** the store answered, positively, that the object does not exist */
  | "not-found"
  /** the repository holds no such cluster, or is not mounted: never to be taken for "there is no such WAL" */
  | "no-cluster"
  /** a conditional create found an object already there */
  | "exists"
  /** credentials or permissions are missing or wrong */
  | "denied"
  /** the store asked us to slow down; retrying later helps */
  | "throttled"
  /** could not find out: network, time-out, a server's own failure */
  | "unavailable"
  /** bytes are there but are not what they must be */
  | "corrupt"
  /** two writers hold different content for one name */
  | "conflict"
  /** the system identifier or the major version belongs to another cluster */
  | "identity-mismatch"
  /** a decryption key is missing or fits nothing */
  | "no-identity"
  /** the repository was written by a newer pgark */
  | "newer-format"
  /** the request is understood and refused: going on would be unsafe or pointless */
  | "refused"
  /** PostgreSQL answered with an error, or its session was lost */
  | "postgres"
  /** a local file operation failed; the cause has the errno */
  | "io"
  /** stopped by a signal or by the caller */
  | "aborted";

export interface ErrorDetails {
  /** what was being done, as a verb phrase: "push", "read manifest" */
  readonly operation: string;
  /** what it was done to: a file, an object key, a label */
  readonly object?: string | undefined;
  /** what a person can do about it, in a sentence */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** facts for `--json`, never secrets */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
}

export class PgarkError extends Error {
  override readonly name = "PgarkError";
  readonly code: ErrorCode;
  readonly operation: string;
  readonly object: string | undefined;
  readonly hint: string | undefined;
  readonly facts: Readonly<Record<string, unknown>> | undefined;

  /** @param problem what is wrong, lower case, without a full stop */
  constructor(code: ErrorCode, problem: string, details: ErrorDetails) {
    super(problem, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.operation = details.operation;
    this.object = details.object;
    this.hint = details.hint;
    this.facts = details.facts;
  }
}

/** Whether `error` is pgark's own (from any bundle), and of one of `codes` when some are given. */
export function isPgarkError(error: unknown, ...codes: readonly ErrorCode[]): error is PgarkError {
  if (!(error instanceof Error) || error.name !== "PgarkError" || !("code" in error)) return false;
  return codes.length === 0 || codes.includes(error.code as ErrorCode);
}

/** The errno name of a system error ("ENOENT"), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Wraps a failed system call; full and read-only file systems get a hint of their own. */
export function ioError(operation: string, object: string, cause: unknown): PgarkError {
  const hints: Readonly<Record<string, string>> = {
    ENOSPC: "the file system is full: free some space; nothing half-written is left behind",
    EDQUOT: "the disk quota is used up: free some space or raise the quota",
    EROFS: "the file system is read-only: remount it or choose another place",
    EACCES: "check owner and permissions, and which user runs pgark",
    EPERM: "check owner and permissions, and which user runs pgark",
    EMFILE: "raise the limit of open files (ulimit -n)",
  };
  const errno = errnoOf(cause);
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new PgarkError(errno === "EACCES" || errno === "EPERM" ? "denied" : "io", problem, {
    operation,
    object,
    cause,
    hint: errno === undefined ? undefined : hints[errno],
  });
}

/** Throws the typed abort error when `signal` has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, operation: string): void {
  if (signal?.aborted) throw new PgarkError("aborted", "stopped", { operation, cause: signal.reason });
}
