import { existsSync, readFileSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import { findPassword, parseServiceFile } from "./connection-files.ts";
import { parseConninfo } from "./conninfo.ts";

export type SslMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";

/** One server that may be tried. */
export interface ConnectionTarget {
  /** host name, address, or the directory of a Unix socket; what a certificate must name */
  readonly host: string;
  /** where to connect instead of looking `host` up */
  readonly address: string | undefined;
  readonly port: number;
}

/** All that is needed to connect, with libpq's defaults filled in. */
export interface ConnectionSettings {
  /** in the order in which they are tried */
  readonly targets: readonly ConnectionTarget[];
  readonly user: string;
  readonly database: string;
  readonly sslMode: SslMode;
  readonly sslFiles: SslFiles;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
  /** command-line options for the server process (`PGOPTIONS`) */
  readonly serverOptions: string;
  readonly targetSessionAttrs: string;
  /** the password to answer with when the server at `target` asks for one */
  password(target: ConnectionTarget): string | undefined;
}

/** PEM files; `rootCertificate: "system"` is the machine's own collection. */
export interface SslFiles {
  readonly rootCertificate: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

export interface ResolveOptions {
  /** URI or `keyword=value` pairs */
  readonly connectionString?: string | undefined;
  /** a section of `pg_service.conf` */
  readonly service?: string | undefined;
  readonly replication?: boolean | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log?: Log | undefined;
}

/** Keywords that are understood, with the environment variable that stands in for each. */
const KEYWORDS: Readonly<Record<string, string>> = {
  host: "PGHOST",
  hostaddr: "PGHOSTADDR",
  port: "PGPORT",
  dbname: "PGDATABASE",
  user: "PGUSER",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  service: "PGSERVICE",
  options: "PGOPTIONS",
  application_name: "PGAPPNAME",
  fallback_application_name: "",
  connect_timeout: "PGCONNECT_TIMEOUT",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  target_session_attrs: "PGTARGETSESSIONATTRS",
};

/** Keywords that ask for nothing but comfort, or for what is so anyway. */
const HARMLESS: ReadonlySet<string> = new Set([
  "client_encoding",
  "gssdelegation",
  "gsslib",
  "keepalives",
  "keepalives_count",
  "keepalives_idle",
  "keepalives_interval",
  "krbsrvname",
  "replication",
  "sslcompression",
  "sslsni",
  "tcp_user_timeout",
]);

/** Keywords that ask for a guarantee which is not given here, but for these values, which do not. */
const GUARANTEES: Readonly<Record<string, readonly string[]>> = {
  channel_binding: ["disable", "prefer"],
  gssencmode: ["disable", "prefer"],
  load_balance_hosts: ["disable"],
  sslnegotiation: ["postgres"],
};

const SSL_MODES: readonly string[] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const SESSION_ATTRS: readonly string[] = ["any", "read-write", "read-only", "primary", "standby"];

/** Where servers keep their sockets: Debian's and Red Hat's builds, then PostgreSQL's own default. */
const SOCKET_DIRECTORIES = ["/var/run/postgresql", "/tmp"] as const;
const DEFAULT_PORT = 5432;
const DEFAULT_TIMEOUT_SECONDS = 30;

/**
 * Works out how to connect as libpq would: connection string, then service file, then environment, then defaults (the
 * operating system's user, a Unix socket, port 5432). Throws `usage` on what cannot be understood or is not supported.
 */
export function resolveConnectionSettings(options: ResolveOptions): ConnectionSettings {
  const { environment } = options;
  const values = collectOptions(options);
  const value = (keyword: string): string | undefined => {
    const text = values.get(keyword) ?? environment[KEYWORDS[keyword] ?? ""];
    return text === "" ? undefined : text;
  };
  const user = value("user") ?? userInfo().username;
  const database = value("dbname") ?? user;
  const home = environment["HOME"] ?? userInfo().homedir;
  const targets = resolveTargets(value("host"), value("hostaddr"), value("port"));
  const sslFiles = resolveSslFiles(value, home);
  const passwordFile = value("passfile") ?? join(home, ".pgpass");
  const password = value("password");
  return {
    targets,
    user,
    database,
    sslMode: resolveSslMode(value("sslmode"), sslFiles),
    sslFiles,
    applicationName: value("application_name") ?? value("fallback_application_name") ?? "pgark",
    connectTimeoutMs: resolveTimeout(value("connect_timeout")),
    serverOptions: value("options") ?? "",
    targetSessionAttrs: oneOf("target_session_attrs", value("target_session_attrs") ?? "any", SESSION_ATTRS),
    password: (target) =>
      password ??
      readPasswordFile(passwordFile, options.log, {
        host: isSocketDirectory(target.host) && isDefaultSocket(target.host) ? "localhost" : target.host,
        port: target.port,
        database: options.replication === true ? "replication" : database,
        user,
      }),
  };
}

/** Whether a host is the directory of a Unix socket rather than a name or an address. */
export function isSocketDirectory(host: string): boolean {
  return host.startsWith("/");
}

function collectOptions(options: ResolveOptions): ReadonlyMap<string, string> {
  const { connectionString, environment } = options;
  const given = connectionString === undefined ? new Map<string, string>() : parseConninfo(connectionString);
  const service = options.service ?? given.get("service") ?? environment["PGSERVICE"];
  const fromService =
    service === undefined || service === "" ? new Map<string, string>() : readService(service, environment);
  const values = new Map([...fromService, ...given]);
  for (const [keyword, value] of values) checkKeyword(keyword, value);
  return values;
}

function checkKeyword(keyword: string, value: string): void {
  if (keyword in KEYWORDS || HARMLESS.has(keyword) || value === "") return;
  if (GUARANTEES[keyword]?.includes(value) === true) return;
  throw new PgarkError("usage", `connection option ${keyword} is not supported`, {
    operation: "connect to PostgreSQL",
    object: keyword,
    hint: `leave it out; supported are ${Object.keys(KEYWORDS).join(", ")}`,
  });
}

function readService(service: string, environment: ResolveOptions["environment"]): ReadonlyMap<string, string> {
  const home = environment["HOME"] ?? userInfo().homedir;
  const files = [environment["PGSERVICEFILE"] ?? join(home, ".pg_service.conf")];
  if (environment["PGSYSCONFDIR"] !== undefined) files.push(join(environment["PGSYSCONFDIR"], "pg_service.conf"));
  else files.push("/etc/postgresql-common/pg_service.conf", "/etc/pg_service.conf");
  for (const file of files) {
    const text = readIfThere(file);
    const options = text === undefined ? undefined : parseServiceFile(text, service);
    if (options !== undefined) return options;
  }
  throw new PgarkError("usage", `no connection service "${service}"`, {
    operation: "connect to PostgreSQL",
    object: service,
    hint: `looked for a section [${service}] in ${files.join(", ")}`,
  });
}

/** Lists of hosts, addresses and ports go together by position; a single port counts for all. */
function resolveTargets(
  host: string | undefined,
  address: string | undefined,
  port: string | undefined,
): readonly ConnectionTarget[] {
  const hosts = host?.split(",") ?? [];
  const addresses = address?.split(",") ?? [];
  const ports = port?.split(",") ?? [];
  const count = Math.max(hosts.length, addresses.length, 1);
  if (hosts.length > 0 && addresses.length > 0 && hosts.length !== addresses.length) {
    throw invalidOption("hostaddr", "there must be as many addresses as hosts");
  }
  if (ports.length > 1 && ports.length !== count)
    throw invalidOption("port", "there must be one port, or one for each host");
  return Array.from({ length: count }, (_, index) => {
    const portNumber = resolvePort(ports.length === 1 ? ports[0] : ports[index]);
    const targetAddress = addresses[index] === "" ? undefined : addresses[index];
    const targetHost = hosts[index] === "" ? undefined : hosts[index];
    const fallback = targetAddress ?? defaultSocketDirectory(portNumber);
    return { host: targetHost ?? fallback, address: targetAddress, port: portNumber };
  });
}

function resolvePort(text: string | undefined): number {
  if (text === undefined || text === "") return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw invalidOption("port", "a port is a number from 1 to 65535");
  return port;
}

/** The directory that has a socket for the port; builds of PostgreSQL differ in their default. */
function defaultSocketDirectory(port: number): string {
  const found = SOCKET_DIRECTORIES.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`));
  return found ?? SOCKET_DIRECTORIES.find((directory) => existsSync(directory)) ?? SOCKET_DIRECTORIES[1];
}

function isDefaultSocket(host: string): boolean {
  return SOCKET_DIRECTORIES.some((directory) => directory === host);
}

function resolveSslFiles(value: (keyword: string) => string | undefined, home: string): SslFiles {
  const fallback = (name: string): string | undefined => {
    const path = join(home, ".postgresql", name);
    return existsSync(path) ? path : undefined;
  };
  const certificate = value("sslcert") ?? fallback("postgresql.crt");
  return {
    rootCertificate: value("sslrootcert") ?? fallback("root.crt"),
    certificate,
    key: certificate === undefined ? undefined : (value("sslkey") ?? fallback("postgresql.key")),
  };
}

/** With a root certificate at hand, `require` verifies the chain, as it does in libpq. */
function resolveSslMode(text: string | undefined, files: SslFiles): SslMode {
  const system = files.rootCertificate === "system";
  const mode = oneOf("sslmode", text ?? (system ? "verify-full" : "prefer"), SSL_MODES) as SslMode;
  if (system && mode !== "verify-full") throw invalidOption("sslmode", "sslrootcert=system needs sslmode=verify-full");
  if ((mode === "verify-ca" || mode === "verify-full") && files.rootCertificate === undefined) {
    throw invalidOption("sslrootcert", `sslmode=${mode} needs a root certificate, or sslrootcert=system`);
  }
  return mode === "require" && files.rootCertificate !== undefined ? "verify-ca" : mode;
}

/** Seconds; 0 waits for ever, as in libpq. */
function resolveTimeout(text: string | undefined): number {
  const seconds = text === undefined ? DEFAULT_TIMEOUT_SECONDS : Number(text);
  if (!Number.isInteger(seconds)) throw invalidOption("connect_timeout", "it is a whole number of seconds");
  return Math.max(seconds, 0) * 1000;
}

function readPasswordFile(
  path: string,
  log: Log | undefined,
  question: Parameters<typeof findPassword>[1],
): string | undefined {
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  if ((statSync(path).mode & 0o077) !== 0) {
    log?.warn("password file is ignored: group or others may read it; permissions should be 0600", { path });
    return undefined;
  }
  return findPassword(text, question);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "EACCES") return undefined;
    throw ioError("connect to PostgreSQL", path, error);
  }
}

function oneOf(keyword: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw invalidOption(keyword, `it is one of ${allowed.join(", ")}`);
}

function invalidOption(keyword: string, hint: string): PgarkError {
  return new PgarkError("usage", `connection option ${keyword} has no valid value`, {
    operation: "connect to PostgreSQL",
    object: keyword,
    hint,
  });
}
