import { errnoOf, isPgarkError, PgarkError } from "../errors.ts";

/** What to do about an answer of PostgreSQL, by SQLSTATE. */
const SQLSTATE_HINTS: Readonly<Record<string, string>> = {
  "08P01": "something between pgark and PostgreSQL does not pass the protocol through: connect to the server itself",
  "28000":
    "check pg_hba.conf: it must let this user in from here (taking a remote backup needs a line for replication)",
  "28P01": "check the user and its password: PGPASSWORD, a .pgpass file with permissions 0600, or pg_service.conf",
  "3D000": "name an existing database with PGDATABASE, such as postgres",
  "42501": "the role needs more rights: a superuser, or the rights that the documentation of pgark lists",
  "42883": "pgark needs PostgreSQL 14 or newer",
  "53300": "raise max_connections (max_wal_senders for remote backups), or close connections that are not needed",
  "55000": "the server's state or settings do not allow this: see the message",
  "57014": "something cancelled the statement: look into the server's log",
  "57P01": "the server was shut down or the session was terminated: look into the server's log",
  "57P02": "the server crashed: look into its log",
  "57P03": "the server is starting up or shutting down: try again when it is up",
};

/** What to do about a connection that did not come about, by errno or error code of node. */
const NETWORK_HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "is the server running, and listening there? check PGHOST, PGPORT and listen_addresses",
  ENOENT: "no server has its socket there: is it running? check PGHOST (the socket's directory) and PGPORT",
  EACCES: "this user may not use the server's socket",
  ENOTFOUND: "the host name is unknown: check PGHOST",
  EAI_AGAIN: "the name server does not answer: check the network",
  ETIMEDOUT: "the host does not answer: check PGHOST, the network and firewalls",
  EHOSTUNREACH: "the host cannot be reached: check PGHOST, the network and firewalls",
};

/**
 * Makes a `postgres` error of what the driver threw: a server's answer (SQLSTATE in `facts`) or a failed connection. Errors
 * of pgark pass through.
 */
export function postgresError(operation: string, object: string | undefined, cause: unknown): PgarkError {
  if (isPgarkError(cause)) return cause;
  const sqlstate = sqlstateOf(cause);
  const code = sqlstate ?? networkCode(cause);
  const detail =
    cause instanceof Error && "detail" in cause && typeof cause.detail === "string" ? cause.detail : undefined;
  const serverHint =
    cause instanceof Error && "hint" in cause && typeof cause.hint === "string" ? cause.hint : undefined;
  return new PgarkError("postgres", messageOf(cause), {
    operation,
    object,
    cause,
    hint: code === undefined ? serverHint : (SQLSTATE_HINTS[code] ?? NETWORK_HINTS[code] ?? serverHint),
    facts: { ...(sqlstate === undefined ? {} : { sqlstate }), ...(detail === undefined ? {} : { detail }) },
  });
}

/** The SQLSTATE of an error that a server sent, also within one of pgark's, or undefined. */
export function sqlstateOf(error: unknown): string | undefined {
  if (isPgarkError(error)) return typeof error.facts?.["sqlstate"] === "string" ? error.facts["sqlstate"] : undefined;
  if (!(error instanceof Error) || !("severity" in error)) return undefined;
  return errnoOf(error);
}

/** A host with several addresses fails with all their errors in one. */
function networkCode(cause: unknown): string | undefined {
  return errnoOf(cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause);
}

function messageOf(cause: unknown): string {
  const first: unknown = cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause;
  const message = first instanceof Error ? first.message : String(first);
  return message === "" ? "the connection failed" : message;
}
