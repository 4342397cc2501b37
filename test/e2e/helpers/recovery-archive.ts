import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Cluster, Settings } from "../../helpers/cluster.ts";
import type { Major } from "../../helpers/postgres-programs.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { type ArchivingCluster, expectDone, openRestored, startArchivingCluster } from "./archiving-cluster.ts";

/** A server that archives, and what tests of recovery do with its archive. */
export interface RecoveryArchive extends ArchivingCluster {
  /** Takes a backup, of the server that archives unless said; resolves with its label. */
  backup(of?: Cluster): Promise<string>;
  /** `pgark restore` into a directory of this name that exists not yet, and the server there, which is not started. */
  restore(name: string, ...args: readonly string[]): Promise<Cluster>;
  /** The file of a segment, `.history` or `.partial` in the repository. */
  walObject(file: string): string;
  /** The names of all WAL files in the repository, in order. */
  walFiles(): Promise<readonly string[]>;
}

export async function startRecoveryArchive(
  options: { readonly major?: Major; readonly config?: Settings } = {},
): Promise<RecoveryArchive> {
  const { path: directory } = await temporaryDirectory();
  const archiving = await startArchivingCluster({ ...options, directory });
  const { cluster, repository } = archiving;
  const { lives } = (await archiving.json(["list"])) as { lives: readonly { readonly identity: string }[] };
  const walFolder = join(repository, "main", lives[0]?.identity ?? "", "wal");
  return {
    ...archiving,
    async backup(of = cluster) {
      const args = ["backup", "--fast", "--pgdata", of.pgdata, "--dbname", of.connectionString];
      return ((await archiving.json(args)) as { backup: { readonly label: string } }).backup.label;
    },
    async restore(name, ...args) {
      const pgdata = join(directory, name);
      expectDone(await archiving.run(["restore", pgdata, ...args]));
      return openRestored(archiving, pgdata);
    },
    walObject(file) {
      const log = /^[0-9A-F]{24}/.test(file) ? [file.slice(8, 16)] : [];
      return join(walFolder, file.slice(0, 8), ...log, `${file}.zst`);
    },
    async walFiles() {
      const entries = await readdir(walFolder, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map(({ name }) => name.replace(/\.zst$/, ""))
        .toSorted();
    },
  };
}

export async function untilPromoted(server: Cluster): Promise<void> {
  await until(async () => {
    const [row] = await server.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
    return row?.recovering === false;
  }, "recovery to end");
}

/** Inserts rows 'from' to 'to' into t(id), each in a transaction of its own, and resolves with where WAL ends then. */
export async function insertRows(server: Cluster, from: number, to = from): Promise<string> {
  const client = await server.connect();
  try {
    for (let id = from; id <= to; id++) await client.query("insert into t values ($1)", [id]);
    const { rows } = await client.query<{ lsn: string }>("select pg_current_wal_flush_lsn()::text as lsn");
    return rows[0]?.lsn ?? "";
  } finally {
    await client.end();
  }
}

/** The ids in table t. */
export async function rowsOf(server: Cluster): Promise<readonly number[]> {
  return (await server.query<{ id: number }>("select id from t order by id")).map(({ id }) => id);
}
