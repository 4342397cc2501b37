import { join } from "node:path";
import { type Cluster, createCluster, openCluster, type Settings } from "../../helpers/cluster.ts";
import type { Mark } from "../../helpers/ledger.ts";
import { digestTables } from "../../helpers/ledger.ts";
import { type PgarkResult, runPgark } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import type { RealStore } from "./real-stores.ts";

export interface StoredClusterOptions {
  readonly walSegmentSizeMb?: number;
  readonly config?: Settings;
}

/** A server, and what a user does with it and a repository: by the built program, an environment and nothing else. */
export interface StoredCluster {
  readonly cluster: Cluster;
  /** for pgark: where the repository is, and how to get there */
  readonly env: Readonly<Record<string, string>>;
  readonly run: (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<PgarkResult>;
  /** Runs a command that must succeed; resolves with what it printed. */
  readonly json: <T>(args: readonly string[]) => Promise<T>;
  /** Has the server finish its segment and waits until it was archived, and with it all before. */
  readonly archiveAll: () => Promise<void>;
  /** `pgark restore` into a new directory, started, and through with its recovery. */
  readonly restore: (name: string, ...args: readonly string[]) => Promise<Cluster>;
}

/** Creates a cluster and its encrypted repository. It archives from its first segment on, and is not started. */
export async function createStoredCluster(
  store: RealStore,
  options: StoredClusterOptions = {},
): Promise<StoredCluster> {
  const { path: directory } = await temporaryDirectory();
  const identityFile = join(directory, "identity");
  const serverEnv = { PGARK_NODE: process.execPath, ...store.env };
  const { config, ...shape } = options;
  const cluster = await createCluster({ major: 17, directory, env: serverEnv, ...shape });
  const env = {
    ...store.env,
    PGARK_REPOSITORY: store.url,
    PGARK_CLUSTER: "main",
    PGARK_HOST_KEY_FILE: join(directory, "host-key"),
    PGHOST: cluster.socketDirectory,
    PGPORT: String(cluster.port),
    PGUSER: "postgres",
    PGDATABASE: "postgres",
  };
  const run = (args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<PgarkResult> =>
    runPgark(args, { env: { ...env, ...more }, timeoutless: true });
  const json = async <T>(args: readonly string[]): Promise<T> => {
    const result = await run([...args, "--json"]);
    if (result.exitCode === 0) return JSON.parse(result.stdout) as T;
    throw new Error(`pgark ${args.join(" ")} ended with ${result.exitCode ?? result.signal}:\n${result.stderr}`);
  };
  const init = ["init", "-D", cluster.pgdata, "--encrypt", "--identity-file", identityFile];
  const { archiveCommand } = await json<{ readonly archiveCommand: string }>(init);
  await cluster.configure({ archive_mode: true, archive_command: archiveCommand, ...config });
  return {
    cluster,
    env,
    run,
    json,
    archiveAll: () => archiveAll(cluster),
    restore: async (name, ...args) => {
      const pgdata = join(directory, name);
      await json(["restore", pgdata, "--identity-file", identityFile, "--action", "promote", ...args]);
      const restored = await openCluster({ major: cluster.major, env: serverEnv }, pgdata);
      await restored.start();
      await untilOpen(restored);
      return restored;
    },
  };
}

/** What is in the tables of the load, to be held against a mark's. */
export async function digestsOf(cluster: Cluster): Promise<Mark["digests"]> {
  const client = await cluster.connect();
  try {
    return await digestTables(client);
  } finally {
    await client.end();
  }
}

async function archiveAll(cluster: Cluster): Promise<void> {
  const [switched] = await cluster.query<{ name: string }>("select pg_walfile_name(pg_switch_wal()) as name");
  const name = switched?.name ?? "";
  const archived = async (): Promise<boolean> => {
    const [row] = await cluster.query<{ done: boolean }>(
      "select coalesce(last_archived_wal >= $1, false) as done from pg_stat_archiver",
      [name],
    );
    return row?.done === true;
  };
  await until(archived, `${name} to be archived`, 300);
}

async function untilOpen(cluster: Cluster): Promise<void> {
  const open = async (): Promise<boolean> => {
    if (!cluster.isRunning()) throw new Error(`recovery failed:\n${await cluster.log()}`);
    const [row] = await cluster.query<{ open: boolean }>("select not pg_is_in_recovery() as open");
    return row?.open === true;
  };
  await until(open, `the end of recovery in ${cluster.pgdata}`, 300);
}
