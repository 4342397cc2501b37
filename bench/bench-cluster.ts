import { writeFileSync } from "node:fs";
import { chmod, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Cluster, createCluster } from "../test/helpers/cluster.ts";
import { debianClientProgram } from "../test/helpers/tools.ts";

/** Half of it pgbench's, whose filler compresses to nothing; half digests, JSON and times, which do not. */
const events = `
  create table events (
    id bigint primary key,
    happened timestamptz not null,
    account integer not null,
    digest text not null,
    detail jsonb not null
  );
  insert into events
  select n,
         timestamptz '2026-01-01' + n * interval '1.7 seconds' + random() * interval '1 second',
         (random() * 100000)::int,
         md5(n::text) || md5(random()::text),
         jsonb_build_object('kind', (array['login','transfer','refund','quote'])[1 + n % 4], 'amount', round((random() * 10000)::numeric, 2),
                            'reference', md5((n * 7)::text), 'note', repeat(substr(md5(random()::text), 1, 8), 1 + (n % 5)::int))
  from generate_series(1, $ROWS) as n;
  create index events_happened on events (happened);
  create index events_account on events (account, id);
  create index events_digest on events (digest);
`;

export interface BenchCluster {
  readonly cluster: Cluster;
  readonly bytes: number;
  /** From now on WAL goes where this shell line, in which "$1" is %p, takes it. */
  archiveWith(line: string): Promise<void>;
}

/** PostgreSQL 15 with page checksums and at least 1.5 GB (at scale 60) of tables and indexes. */
export async function buildCluster(directory: string, scale: number): Promise<BenchCluster> {
  // pgBackRest insists on its name being in archive_command.
  const script = join(directory, "archive-to-pgark-or-pgbackrest.sh");
  const archiveWith = async (line: string): Promise<void> => {
    await writeFile(`${script}.new`, `${line}\n`);
    await chmod(`${script}.new`, 0o755);
    await rename(`${script}.new`, script);
  };
  writeFileSync(script, "exit 0\n");
  const cluster = await createCluster({
    major: 15,
    source: "debian",
    directory,
    name: "source",
    config: {
      archive_mode: true,
      archive_command: `sh ${script} "%p"`,
      max_wal_size: "4GB",
      checkpoint_timeout: "1h",
      shared_buffers: "256MB",
      maintenance_work_mem: "256MB",
      autovacuum: false,
    },
  });
  await cluster.start();
  const pgbench = debianClientProgram("pgbench");
  await pgbench.run(["--initialize", `--scale=${scale}`, "--quiet", cluster.connectionString]);
  await cluster.query(events.replace("$ROWS", String(scale * 30_000)));
  await cluster.query("vacuum (freeze, analyze)");
  await cluster.query("checkpoint");
  const [row] = await cluster.query<{ bytes: string }>("select sum(pg_database_size(oid)) as bytes from pg_database");
  return { cluster, bytes: Number(row?.bytes), archiveWith };
}
