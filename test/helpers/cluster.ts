import { execFile } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { appendFile, mkdir, readFile, realpath } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client, type QueryResultRow } from "pg";
import { registerCleanup } from "./cleanup.ts";
import { type Major, type PostgresPrograms, postgresPrograms, type ServerSource } from "./postgres-programs.ts";
import { killTree, killWorkersIn, untilGone, untilNoneWorksIn } from "./processes.ts";
import { plainEnvironment } from "./project.ts";
import { socketDirectory } from "./socket-directory.ts";

const run = promisify(execFile);

export type Settings = Readonly<Record<string, string | number | boolean>>;

export interface ServerOptions {
  readonly major: Major;
  readonly source?: ServerSource;
  /** Written to postgresql.conf, over the defaults below. */
  readonly config?: Settings;
  /** For archive_command and restore_command, on top of a plain environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Listen on 127.0.0.1 too, on a free port. Otherwise there is only the socket. */
  readonly tcp?: boolean;
}

export interface ClusterOptions extends ServerOptions {
  /** The data directory is made in here. */
  readonly directory: string;
  /** The data directory's name; "pgdata" unless said. */
  readonly name?: string;
  readonly walSegmentSizeMb?: number;
  /** Data checksums; on unless said. */
  readonly checksums?: boolean;
}

/** A real PostgreSQL cluster. Whatever runs when the test file ends is stopped. */
export interface Cluster extends AsyncDisposable {
  readonly major: Major;
  readonly pgdata: string;
  readonly socketDirectory: string;
  readonly port: number;
  readonly connectionString: string;
  /** Ready for connections when it resolves; rejects with the end of the server's log when it does not get there. */
  start(): Promise<void>;
  stop(mode?: "smart" | "fast" | "immediate"): Promise<void>;
  restart(): Promise<void>;
  /** A crash: every process of the server is killed at once, and gone when it resolves. */
  kill9(): Promise<void>;
  promote(): Promise<void>;
  isRunning(): boolean;
  /** Appends to postgresql.conf, where the last setting wins; a running server reloads. */
  configure(config: Settings): Promise<void>;
  connect(): Promise<Client>;
  /** One statement on a connection of its own. */
  query<Row extends QueryResultRow = Record<string, unknown>>(
    sql: string,
    parameters?: readonly unknown[],
  ): Promise<Row[]>;
  /** The server's log so far. */
  log(): Promise<string>;
}

/** Durable against a crash of the server, which tests provoke, not of the machine, which they cannot. */
const defaults: Settings = {
  fsync: false,
  wal_level: "replica",
  max_wal_senders: 10,
  max_replication_slots: 10,
  shared_buffers: "32MB",
  log_timezone: "UTC",
  timezone: "UTC",
};

/** initdb, with a system identifier of its own. Not started. */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const programs = await postgresPrograms(options.major, options.source);
  const pgdata = join(options.directory, options.name ?? "pgdata");
  await mkdir(options.directory, { recursive: true });
  const checksums = options.checksums ?? true;
  const flags = ["--auth=trust", "--username=postgres", "--no-sync", "--no-locale", "--encoding=UTF8"];
  if (options.walSegmentSizeMb !== undefined) flags.push(`--wal-segsize=${options.walSegmentSizeMb}`);
  // PostgreSQL 18 turned the default round.
  if (checksums && options.major < 18) flags.push("--data-checksums");
  if (!checksums && options.major >= 18) flags.push("--no-data-checksums");
  await run(programs.initdb, [...flags, "--pgdata", pgdata], { env: plainEnvironment() }).catch(explainRoot);
  const cluster = await openCluster({ ...options, config: {} }, pgdata);
  await cluster.configure({ ...defaults, ...options.config });
  return cluster;
}

/** A cluster in a data directory that exists already, such as a restored one. */
export async function openCluster(options: ServerOptions, pgdata: string): Promise<Cluster> {
  const programs = await postgresPrograms(options.major, options.source);
  const sockets = await socketDirectory();
  const port = options.tcp === true ? await freePort() : 5432;
  const cluster = new LocalCluster(options, programs, await realpath(pgdata), sockets, port);
  if (options.config !== undefined && Object.keys(options.config).length > 0) await cluster.configure(options.config);
  return cluster;
}

class LocalCluster implements Cluster {
  readonly major: Major;
  readonly pgdata: string;
  readonly socketDirectory: string;
  readonly port: number;
  readonly connectionString: string;
  readonly #programs: PostgresPrograms;
  readonly #logFile: string;
  readonly #env: Record<string, string | undefined>;
  readonly #listen: string;
  readonly #dispose: () => Promise<void>;

  constructor(options: ServerOptions, programs: PostgresPrograms, pgdata: string, sockets: string, port: number) {
    this.major = options.major;
    this.pgdata = pgdata;
    this.socketDirectory = sockets;
    this.port = port;
    this.connectionString = `postgresql://postgres@localhost:${port}/postgres?host=${encodeURIComponent(sockets)}`;
    this.#programs = programs;
    // Beside the data directory, or it would be part of every backup.
    this.#logFile = `${pgdata}.log`;
    this.#env = plainEnvironment({ LC_ALL: "C", ...options.env });
    this.#listen = options.tcp === true ? "127.0.0.1" : "";
    this.#dispose = registerCleanup({
      dispose: async () => {
        await this.stop("immediate");
        await untilNoneWorksIn(pgdata);
      },
      disposeNow: () => {
        const postmaster = this.#postmaster();
        if (postmaster !== undefined) killTree(postmaster);
        killWorkersIn(pgdata);
      },
    });
  }

  async start(): Promise<void> {
    // On the command line, so that the settings which a restored cluster brings from its source do not count.
    const settings = [
      `-c unix_socket_directories='${this.socketDirectory}'`,
      `-c port=${this.port}`,
      `-c listen_addresses='${this.#listen}'`,
    ];
    try {
      await this.#pgCtl("start", "--wait", "--timeout=120", "--log", this.#logFile, "-o", settings.join(" "));
    } catch (error) {
      const log = (await this.log()).split("\n").slice(-30).join("\n");
      throw new Error(`the server in ${this.pgdata} did not start; its log ends:\n${log}`, { cause: error });
    }
  }

  async stop(mode: "smart" | "fast" | "immediate" = "fast"): Promise<void> {
    if (this.isRunning()) await this.#pgCtl("stop", "--wait", "--timeout=120", `--mode=${mode}`);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async kill9(): Promise<void> {
    const postmaster = this.#postmaster();
    if (postmaster === undefined) throw new Error(`no server runs in ${this.pgdata}`);
    await untilGone(killTree(postmaster));
  }

  async promote(): Promise<void> {
    await this.#pgCtl("promote", "--wait", "--timeout=120");
  }

  isRunning(): boolean {
    return this.#postmaster() !== undefined;
  }

  async configure(config: Settings): Promise<void> {
    const lines = Object.entries(config).map(([name, value]) => `${name} = ${quoteSetting(value)}\n`);
    await appendFile(join(this.pgdata, "postgresql.conf"), lines.join(""));
    if (this.isRunning()) await this.#pgCtl("reload");
  }

  async connect(): Promise<Client> {
    const client = new Client({ connectionString: this.connectionString });
    // A server that is killed under the client says so by this event; the client's next query rejects as well.
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  async query<Row extends QueryResultRow = Record<string, unknown>>(
    sql: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    const client = await this.connect();
    try {
      return (await client.query<Row>(sql, [...parameters])).rows;
    } finally {
      await client.end();
    }
  }

  async log(): Promise<string> {
    return readFile(this.#logFile, "utf8").catch(() => "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }

  async #pgCtl(command: string, ...args: readonly string[]): Promise<void> {
    await run(this.#programs.pgCtl, [command, "--pgdata", this.pgdata, "--silent", ...args], {
      env: this.#env,
      cwd: this.socketDirectory,
    }).catch(explainRoot);
  }

  /** The postmaster's process id, unless the file that names it was left behind by a crash. */
  #postmaster(): number | undefined {
    try {
      const pid = Number(readFileSync(join(this.pgdata, "postmaster.pid"), "latin1").split("\n")[0]);
      return readlinkSync(`/proc/${pid}/cwd`) === this.pgdata ? pid : undefined;
    } catch {
      return undefined;
    }
  }
}

function quoteSetting(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return `'${String(value).replaceAll("'", "''")}'`;
}

function explainRoot(error: unknown): never {
  if (process.getuid?.() !== 0) throw error;
  throw new Error("PostgreSQL refuses to run as root: npm test -- <file> runs as an ordinary user", { cause: error });
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
  await new Promise((resolve) => server.close(resolve));
  return port;
}
