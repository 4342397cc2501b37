import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { createCluster, openCluster, type Cluster, type Settings } from "../../helpers/cluster.ts";
import { installPgark, type InstalledPgark, type PgarkResult, type RunOptions } from "../../helpers/pgark.ts";
import type { Major } from "../../helpers/postgres-programs.ts";
import { until } from "../../helpers/processes.ts";

type Environment = Readonly<Record<string, string>>;

export interface ArchivingOptions {
  /** everything is made in here */
  readonly directory: string;
  readonly major?: Major;
  readonly encrypted?: boolean;
  readonly walSegmentSizeMb?: number;
  readonly config?: Settings;
  /** for the server and every command, on top of what they need */
  readonly env?: Environment;
  /** where the repository is to be; below `directory` unless said */
  readonly repository?: string;
}

/** A server that archives through an installed pgark into a repository of its own. */
export interface ArchivingCluster {
  readonly cluster: Cluster;
  readonly pgark: InstalledPgark;
  readonly directory: string;
  /** the repository's root directory */
  readonly repository: string;
  readonly identityFile: string | undefined;
  /** repository, cluster and keys, for every command */
  readonly env: Environment;
  /** that, and how to reach the server: for `backup` */
  readonly serverEnv: Environment;
  run(args: readonly string[], options?: RunOptions): Promise<PgarkResult>;
  /** Runs a command that must end with 0 and gives back what it prints with `--json`. */
  json(args: readonly string[], options?: RunOptions): Promise<Record<string, unknown>>;
}

/** Initialized, started, archiving. */
export async function startArchivingCluster(options: ArchivingOptions): Promise<ArchivingCluster> {
  const { directory } = options;
  await mkdir(directory, { recursive: true });
  const repository = options.repository ?? join(directory, "repository");
  const identityFile = options.encrypted === true ? join(directory, "identity.txt") : undefined;
  const pgark = await installPgark(join(directory, "install"));
  const env = {
    PGARK_REPOSITORY: `file://${repository}`,
    PGARK_CLUSTER: "main",
    PGARK_NODE: process.execPath,
    ...(identityFile === undefined
      ? {}
      : { PGARK_IDENTITY_FILE: identityFile, PGARK_HOST_KEY_FILE: join(directory, "host-key.txt") }),
    ...options.env,
  };
  const cluster = await createCluster({
    directory,
    major: options.major ?? 17,
    ...(options.walSegmentSizeMb === undefined ? {} : { walSegmentSizeMb: options.walSegmentSizeMb }),
    config: { archive_mode: "on", archive_command: `"${pgark.program}" wal-push %p`, ...options.config },
    env,
  });
  const serverEnv = { ...env, PGARK_DBNAME: cluster.connectionString };
  const run = (args: readonly string[], more: RunOptions = {}): Promise<PgarkResult> =>
    pgark.run(args, { ...more, env: { ...serverEnv, ...more.env } });
  const keys = identityFile === undefined ? [] : ["--encrypt"];
  expectDone(await pgark.run(["init", "--pgdata", cluster.pgdata, ...keys], { env }));
  await cluster.start();
  return {
    cluster,
    pgark,
    directory,
    repository,
    identityFile,
    env,
    serverEnv,
    run,
    async json(args, more) {
      const ended = await run([...args, "--json"], more);
      expectDone(ended);
      return JSON.parse(ended.stdout) as Record<string, unknown>;
    },
  };
}

/** With what it said, when it did not end with 0. */
export function expectDone(ended: PgarkResult): void {
  expect(ended, ended.stderr).toMatchObject({ exitCode: 0, signal: null });
}

/** The labels of the backups that are listed. */
export async function listedBackups(archiving: ArchivingCluster): Promise<readonly string[]> {
  const { lives } = (await archiving.json(["list"])) as {
    lives: readonly { readonly backups: readonly { readonly label: string }[] }[];
  };
  return lives.flatMap((life) => life.backups.map((backup) => backup.label));
}

/** Ends the current segment and resolves when it is in the archive. */
export async function archiveCurrentSegment(cluster: Cluster): Promise<string> {
  await cluster.query("select pg_logical_emit_message(true, 'pgark', 'fills the segment')");
  const [row] = await cluster.query<{ name: string }>("select pg_walfile_name(pg_switch_wal()) as name");
  const name = row?.name ?? "";
  await until(async () => {
    const [archiver] = await cluster.query<{ last: string | null }>(
      "select last_archived_wal as last from pg_stat_archiver",
    );
    return archiver?.last !== null && archiver?.last !== undefined && archiver.last >= name;
  }, `segment ${name} to be archived`);
  return name;
}

/** A WAL segment of this cluster, kept aside. */
export interface KeptSegment {
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
}

/** Makes `count` whole segments and copies them to `directory`. The server may archive them or not. */
export async function keepSegments(
  cluster: Cluster,
  directory: string,
  count: number,
): Promise<readonly [KeptSegment, ...KeptSegment[]]> {
  await mkdir(directory, { recursive: true });
  await cluster.query("create table if not exists filler (payload text)");
  const keep = async (): Promise<KeptSegment> => {
    await cluster.query("insert into filler select md5(random()::text) from generate_series(1, 4000)");
    const [row] = await cluster.query<{ name: string }>("select pg_walfile_name(pg_switch_wal()) as name");
    const name = row?.name ?? "";
    const path = join(directory, name);
    await copyFile(join(cluster.pgdata, "pg_wal", name), path);
    return { name, path, sha256: sha256Of(await readFile(path)) };
  };
  const first = await keep();
  const segments: [KeptSegment, ...KeptSegment[]] = [first];
  while (segments.length < count) segments.push(await keep());
  return segments;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A restored directory as a server of its own; its restore_command finds what the environment names. */
export async function openRestored(archiving: ArchivingCluster, pgdata: string): Promise<Cluster> {
  return openCluster({ major: archiving.cluster.major, env: archiving.env }, pgdata);
}
