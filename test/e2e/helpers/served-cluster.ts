import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Cluster, type ClusterOptions, createCluster, openCluster, type Settings } from "../../helpers/cluster.ts";
import { type PgarkResult, type RunOptions, runPgark } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";

/** What `pgark backup --json` prints. */
export interface BackupAnswer {
  readonly backup: {
    readonly label: string;
    readonly timeline: number;
    readonly startLsn: string;
    readonly stopLsn: string;
    readonly startTime: string;
    readonly stopTime: string;
    readonly method: string;
    readonly source: string;
    readonly walSegmentSize: number;
    readonly badPages: number;
    readonly tablespaces: readonly { readonly oid: number; readonly location: string | null }[];
  };
  readonly warnings: readonly string[];
  readonly badPages: readonly { readonly path: string; readonly block: number }[];
}

export interface ServedClusterOptions extends Omit<ClusterOptions, "directory" | "env"> {
  readonly encrypt?: boolean;
}

/** A cluster that archives through the built pgark into a repository of its own. Nothing runs yet. */
export async function createServedCluster(options: ServedClusterOptions): Promise<ServedCluster> {
  const directory = (await temporaryDirectory()).path;
  const cluster = await createCluster({ ...options, directory, env: serverEnvironment() });
  const served = new ServedCluster(cluster, directory, "main", options.encrypt === true);
  await served.init();
  return served;
}

/** For the server that runs archive_command and restore_command: where node is. All else stands in the commands. */
export function serverEnvironment(): Readonly<Record<string, string>> {
  return { PGARK_NODE: process.execPath };
}

export class ServedCluster implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly directory: string;
  readonly name: string;
  readonly encrypted: boolean;

  constructor(cluster: Cluster, directory: string, name: string, encrypted = false) {
    this.cluster = cluster;
    this.directory = directory;
    this.name = name;
    this.encrypted = encrypted;
  }

  get repositoryDirectory(): string {
    return join(this.directory, "repository");
  }

  get env(): Readonly<Record<string, string>> {
    return {
      PGARK_REPOSITORY: `file://${this.repositoryDirectory}`,
      PGARK_CLUSTER: this.name,
      ...(this.encrypted ? { PGARK_HOST_KEY_FILE: join(this.directory, "host-key") } : {}),
      PGHOST: this.cluster.socketDirectory,
      PGPORT: String(this.cluster.port),
      PGUSER: "postgres",
      PGDATABASE: "postgres",
    };
  }

  /** The same repository under another name, for a restored cluster that begins a history of its own. */
  as(cluster: Cluster, name: string): ServedCluster {
    return new ServedCluster(cluster, this.directory, name);
  }

  /** `pgark init`, and archiving on; takes effect when the server is started. */
  async init(settings: Settings = {}): Promise<void> {
    await mkdir(this.repositoryDirectory, { recursive: true });
    const keys = this.encrypted ? ["--encrypt", "--identity-file", join(this.directory, "identity")] : [];
    const answer = await this.json<{ readonly archiveCommand: string }>(["init", "-D", this.cluster.pgdata, ...keys]);
    await this.cluster.configure({ archive_mode: true, archive_command: answer.archiveCommand, ...settings });
  }

  /** Runs pgark with the repository, the cluster and the server in its environment. */
  run(args: readonly string[], options: RunOptions = {}): Promise<PgarkResult> {
    return runPgark(args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** The answer of a run with `--json` that must end well. */
  async json<Answer>(args: readonly string[], expectedExitCode = 0, options: RunOptions = {}): Promise<Answer> {
    const result = await this.run([...args, "--json"], options);
    if (result.exitCode !== expectedExitCode) {
      throw new Error(`pgark ${args.join(" ")} ended with ${result.exitCode ?? result.signal}:\n${result.stderr}`);
    }
    return JSON.parse(result.stdout) as Answer;
  }

  backup(...args: readonly string[]): Promise<BackupAnswer> {
    return this.json<BackupAnswer>(["backup", "--fast", ...args]);
  }

  /** Labels of the backups that pgark lists. */
  async labels(): Promise<readonly string[]> {
    const answer = await this.json<{ readonly lives: readonly { readonly backups: readonly { label: string }[] }[] }>([
      "list",
    ]);
    return answer.lives.flatMap(({ backups }) => backups.map(({ label }) => label));
  }

  /** Makes the server finish its segment and waits until all WAL so far is in the repository. */
  async archiveAll(): Promise<void> {
    const [row] = await this.cluster.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
    const name = row?.name ?? "";
    await until(
      async () => {
        const [archiver] = await this.cluster.query<{ done: boolean }>(
          "SELECT coalesce(last_archived_wal >= $1, false) AS done FROM pg_stat_archiver",
          [name],
        );
        return archiver?.done === true;
      },
      `${name} to be served`,
      60,
    );
  }

  /** `pgark restore` into a new directory. Not started. */
  async restore(name: string, ...args: readonly string[]): Promise<Cluster> {
    const pgdata = join(this.directory, name);
    const identity = this.encrypted ? ["--identity-file", join(this.directory, "identity")] : [];
    await this.json(["restore", pgdata, ...identity, ...args]);
    return openCluster({ major: this.cluster.major, env: serverEnvironment() }, pgdata);
  }

  /** `restore`, started, and out of recovery. */
  async restoreAndOpen(name: string, ...args: readonly string[]): Promise<Cluster> {
    const restored = await this.restore(name, ...args);
    await restored.start();
    await untilOpen(restored);
    return restored;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

/** Waits until a started cluster has ended its recovery. Rejects with the end of its log when it does not get there. */
export async function untilOpen(cluster: Cluster): Promise<void> {
  try {
    await until(
      async () => {
        const [row] = await cluster.query<{ open: boolean }>("SELECT NOT pg_is_in_recovery() AS open");
        return row?.open === true;
      },
      `the end of recovery in ${cluster.pgdata}`,
      120,
    );
  } catch (error) {
    const log = (await cluster.log()).split("\n").slice(-30).join("\n");
    throw new Error(`${cluster.pgdata} was not opened; its log ends:\n${log}`, { cause: error });
  }
}
