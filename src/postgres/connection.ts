import type { ConnectionOptions as TlsOptions } from "node:tls";
import pg from "pg";
import { PgarkError, throwIfAborted } from "../errors.ts";
import type { Log } from "../log.ts";
import { isSocketDirectory, resolveConnectionSettings } from "./connection-settings.ts";
import type { ConnectionSettings, ConnectionTarget } from "./connection-settings.ts";
import { mayHelpToChangeTls, tlsAttempts } from "./connection-tls.ts";
import { postgresError, sqlstateOf } from "./postgres-error.ts";

/** Values are PostgreSQL's text output. */
export type Row = Readonly<Record<string, string | null>>;

/** One connection to a server. It is never made anew behind the caller's back: what is bound to it is lost with it. */
export interface Session {
  /** the driver's own client, for protocols that `query` does not speak */
  readonly client: pg.Client;
  /** "host:port", for messages */
  readonly target: string;
  /** Runs one statement after those before it; throws `postgres`. */
  query(sql: string, params?: readonly (string | number | boolean | null)[]): Promise<readonly Row[]>;
  /** Finds out whether the session is alive. */
  ping(): Promise<void>;
  /** Calls back once when the session is lost without `end`, at once if it is already. */
  onLost(callback: (error: PgarkError) => void): void;
  /** Ends the session, also in the middle of a statement. Never throws. */
  end(): Promise<void>;
}

export interface ConnectOptions {
  /** URI or `keyword=value` pairs, over the service and the environment */
  readonly connectionString?: string | undefined;
  /** a section of `pg_service.conf` */
  readonly service?: string | undefined;
  /** speak the (physical) replication protocol */
  readonly replication?: boolean | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** gives up connecting; a session that is there is ended by `end` */
  readonly signal?: AbortSignal | undefined;
  readonly log?: Log | undefined;
}

const OPERATION = "connect to PostgreSQL";

/** A backup's session sits idle for hours while files are copied; no setting of the server, role or database may end it. */
const NO_TIMEOUTS = [
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout",
  "idle_session_timeout",
] as const;

/** After this long, a peer that does not close its side is given up. */
const END_TIMEOUT_MS = 5000;

/**
 * Connects as libpq would (its environment variables, service and password files, lists of hosts). Timeouts of the session
 * are off. Throws `postgres` when no server takes the connection, `refused` behind a pooler, `usage` on bad options.
 */
export async function connect(options: ConnectOptions): Promise<Session> {
  const settings = resolveConnectionSettings(options);
  let failure: PgarkError | undefined;
  for (const target of settings.targets) {
    throwIfAborted(options.signal, OPERATION);
    try {
      return await connectTarget(settings, target, options);
    } catch (error) {
      throwIfAborted(options.signal, OPERATION);
      const problem = postgresError(OPERATION, formatTarget(target), error);
      if (problem.code !== "postgres") throw problem;
      // the first server's answer is kept unless a later one says more than "not there"
      if (failure === undefined || sqlstateOf(problem) !== undefined) failure = problem;
    }
  }
  throw failure ?? new PgarkError("usage", "no server to connect to", { operation: OPERATION });
}

async function connectTarget(
  settings: ConnectionSettings,
  target: ConnectionTarget,
  options: ConnectOptions,
): Promise<Session> {
  const attempts = tlsAttempts(settings, target);
  for (const [index, ssl] of attempts.entries()) {
    const client = newClient(settings, target, ssl, options.replication === true);
    try {
      await openClient(client, options.signal);
    } catch (error) {
      if (index + 1 < attempts.length && mayHelpToChangeTls(error)) continue;
      throw error;
    }
    const session = new PgSession(client, formatTarget(target));
    try {
      await prepareSession(session, settings, options.replication === true);
    } catch (error) {
      await session.end();
      throw error;
    }
    return session;
  }
  throw new PgarkError("usage", "no way to connect", { operation: OPERATION });
}

function newClient(
  settings: ConnectionSettings,
  target: ConnectionTarget,
  ssl: false | TlsOptions,
  replication: boolean,
) {
  const config: pg.ClientConfig & { replication?: "true" } = {
    host: target.address ?? target.host,
    port: target.port,
    user: settings.user,
    database: settings.database,
    // always a function: without one, the driver looks for passwords in places of its own
    password: () => passwordFor(settings, target),
    ssl,
    sslnegotiation: "postgres",
    application_name: settings.applicationName,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // start-up options, not SET: the replication protocol knows no SET
    options: [settings.serverOptions, ...NO_TIMEOUTS.map((name) => `-c ${name}=0`)].join(" ").trim(),
    // text as PostgreSQL writes it: LSNs, 64-bit numbers and times are parsed where they are understood
    types: { getTypeParser: () => (value: unknown) => value },
    ...(replication ? { replication: "true" as const } : {}),
  };
  return new pg.Client(config);
}

function passwordFor(settings: ConnectionSettings, target: ConnectionTarget): string {
  const password = settings.password(target);
  if (password !== undefined) return password;
  throw new PgarkError("postgres", `the server asks for a password of "${settings.user}" and there is none`, {
    operation: OPERATION,
    object: formatTarget(target),
    hint: "set PGPASSWORD, or add a line to ~/.pgpass (permissions 0600) or to pg_service.conf",
  });
}

async function openClient(client: pg.Client, signal: AbortSignal | undefined): Promise<void> {
  // while it connects, errors reject the promise and are emitted as well
  client.on("error", ignore);
  const abort = (): void => void client.connection.stream.destroy(new Error("stopped"));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await client.connect();
  } catch (error) {
    client.connection.stream.destroy();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function prepareSession(session: PgSession, settings: ConnectionSettings, replication: boolean): Promise<void> {
  if (!replication) await refusePooler(session);
  if (settings.targetSessionAttrs === "any") return;
  const standby = (await showSetting(session, "in_hot_standby")) === "on";
  const readOnly = standby || (await showSetting(session, "default_transaction_read_only")) === "on";
  const fits = { "read-write": !readOnly, "read-only": readOnly, primary: !standby, standby }[
    settings.targetSessionAttrs
  ];
  if (fits === true) return;
  throw new PgarkError(
    "postgres",
    `the server is not what target_session_attrs=${settings.targetSessionAttrs} asks for`,
    {
      operation: OPERATION,
      object: session.target,
      hint: "add the hosts of the cluster's other servers, separated by commas",
    },
  );
}

/** The value of a setting; works over the replication protocol as well. */
export async function showSetting(session: Session, name: string): Promise<string | undefined> {
  const [row] = await session.query(`SHOW ${name}`);
  return row?.[name] ?? undefined;
}

/**
 * A backup belongs to one server process; a pooler hands statements to any. Poolers make up the process id of the
 * handshake, and may answer each statement from another process.
 */
async function refusePooler(session: PgSession): Promise<void> {
  const announced = "processID" in session.client ? String(session.client.processID) : undefined;
  const first = (await session.query("SELECT pg_backend_pid() AS pid"))[0]?.["pid"];
  const second = (await session.query("SELECT pg_backend_pid() AS pid"))[0]?.["pid"];
  if (first === second && first === announced) return;
  throw new PgarkError("refused", "the connection leads through a pooler", {
    operation: OPERATION,
    object: session.target,
    hint: "a backup needs one session of its own from start to end: connect to the server's own port or socket",
  });
}

function formatTarget(target: ConnectionTarget): string {
  return isSocketDirectory(target.host) ? `${target.host}/.s.PGSQL.${target.port}` : `${target.host}:${target.port}`;
}

class PgSession implements Session {
  readonly client: pg.Client;
  readonly target: string;
  readonly #lostCallbacks: ((error: PgarkError) => void)[] = [];
  #lost: PgarkError | undefined;
  #ended = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: pg.Client, target: string) {
    this.client = client;
    this.target = target;
    client.on("error", (error) => this.#lose(error));
    client.on("end", () => this.#lose(new Error("the connection was closed")));
  }

  query(sql: string, params: readonly (string | number | boolean | null)[] = []): Promise<readonly Row[]> {
    const result = this.#last.then(async () => {
      this.#throwIfGone();
      try {
        const { rows } = await (params.length === 0
          ? this.client.query<Row>(sql)
          : this.client.query<Row>(sql, [...params]));
        return rows;
      } catch (error) {
        throw this.#lost ?? postgresError("query", this.target, error);
      }
    });
    this.#last = result.catch(ignore);
    return result;
  }

  async ping(): Promise<void> {
    // an empty statement would be enough, but the replication protocol refuses it
    await showSetting(this, "server_version");
  }

  onLost(callback: (error: PgarkError) => void): void {
    if (this.#lost === undefined) this.#lostCallbacks.push(callback);
    else callback(this.#lost);
  }

  async end(): Promise<void> {
    this.#ended = true;
    const { stream } = this.client.connection;
    const giveUp = setTimeout(() => stream.destroy(), END_TIMEOUT_MS);
    try {
      await this.client.end();
    } catch {
      stream.destroy();
    } finally {
      clearTimeout(giveUp);
    }
  }

  #throwIfGone(): void {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#ended)
      throw new PgarkError("aborted", "the session was ended", { operation: "query", object: this.target });
  }

  #lose(cause: Error): void {
    if (this.#ended || this.#lost !== undefined) return;
    const sqlstate = sqlstateOf(cause);
    this.#lost = new PgarkError("postgres", `the session with PostgreSQL was lost: ${cause.message}`, {
      operation: "keep session",
      object: this.target,
      cause,
      hint: "look into the server's log and at the network; what the session had begun is undone, so begin it again",
      facts: sqlstate === undefined ? {} : { sqlstate },
    });
    for (const callback of this.#lostCallbacks) callback(this.#lost);
  }
}

function ignore(): void {}
