import { execFile } from "node:child_process";
import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Cluster } from "../../test/helpers/cluster.ts";
import { debianClientProgram } from "../../test/helpers/tools.ts";
import { buildCluster } from "../bench-cluster.ts";

const run = promisify(execFile);

export const segmentSize = 16 * 1024 * 1024;

/**
 * How much WAL to fetch ahead of recovery: enough. Not more, since where less than half of it is left to fetch, pgBackRest
 * begins to look for more at every call.
 */
export const usualAhead = 32 * segmentSize;

/** pgbench's own transaction, and rows that compress less; one transaction writes some 40 kB of WAL. */
const load = `
\\set account random(1, 100000 * :scale)
\\set teller random(1, 10 * :scale)
\\set branch random(1, :scale)
\\set delta random(-5000, 5000)
\\set event random(1, 30000 * :scale - 20)
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :account;
update pgbench_tellers set tbalance = tbalance + :delta where tid = :teller;
update pgbench_branches set bbalance = bbalance + :delta where bid = :branch;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (:teller, :branch, :account, :delta, now());
update pgbench_accounts set abalance = abalance - 1
where aid = any (array(select 1 + (random() * 99999 * :scale)::int from generate_series(1, 10)));
update events set happened = now(), digest = md5(random()::text) || md5(id::text) where id between :event and :event + 20;
insert into events
select nextval('more_events'), now(), :account, md5(random()::text) || md5(n::text),
       jsonb_build_object('kind', 'transfer', 'amount', round((random() * 10000)::numeric, 2), 'reference', md5(random()::text))
from generate_series(1, 20) as n;
end;
`;

export interface WalSource {
  readonly cluster: Cluster;
  /** complete segments, oldest first */
  readonly segments: readonly string[];
  /** the data directory as it was, shut down, before the first of them; without WAL */
  readonly snapshot: string;
  /** PostgreSQL has these to archive, and no others. Its archiver must be at rest. */
  makeReady(segments: readonly string[]): Promise<void>;
}

/** A server that runs, does not archive (yet), and has `count` segments of WAL to archive. */
export async function buildWalSource(directory: string, scale: number, count: number): Promise<WalSource> {
  const { cluster } = await buildCluster(directory, scale);
  await cluster.query(`create sequence more_events start ${scale * 30_000 + 1}`);
  await cluster.stop();
  const snapshot = join(directory, "snapshot");
  await copyDirectory(cluster.pgdata, snapshot);
  await emptyWal(snapshot);
  await cluster.configure({
    archive_command: "",
    // What was archived in one round is archived again in the next one.
    wal_keep_size: `${((count + 1000) * segmentSize) / 2 ** 20}MB`,
    wal_recycle: false,
    checkpoint_timeout: "1d",
    // The default, which full-page images depend on.
    max_wal_size: "1GB",
  });
  await cluster.start();
  const script = join(directory, "load.sql");
  await writeFile(script, load);
  const status = join(cluster.pgdata, "pg_wal/archive_status");
  let segments: readonly string[] = [];
  while (segments.length < count) {
    const pgbench = ["--no-vacuum", "--client=4", "--transactions=200", `--file=${script}`, `--define=scale=${scale}`];
    await debianClientProgram("pgbench").run([...pgbench, cluster.connectionString]);
    segments = await segmentsWith(status, "ready");
  }
  await cluster.query("checkpoint");
  // What is measured is measured as on a server that is used, whatever its WAL was made with.
  await cluster.configure({ fsync: true });
  return { cluster, segments: segments.slice(0, count), snapshot, makeReady: (names) => makeReady(status, names) };
}

export async function copyDirectory(from: string, to: string): Promise<void> {
  await run("cp", ["-a", "--reflink=auto", from, to]);
}

export async function bytesIn(folder: string): Promise<number> {
  const { stdout } = await run("du", ["--summarize", "--bytes", folder]);
  return Number(stdout.split("\t")[0]);
}

async function emptyWal(pgdata: string): Promise<void> {
  for (const folder of ["pg_wal", "pg_wal/archive_status"]) {
    for (const name of await readdir(join(pgdata, folder))) {
      if (name !== "archive_status") await rm(join(pgdata, folder, name));
    }
  }
}

async function makeReady(status: string, names: readonly string[]): Promise<void> {
  const wanted = new Set(names);
  for (const name of await segmentsWith(status, "ready")) {
    if (!wanted.has(name)) await rename(join(status, `${name}.ready`), join(status, `${name}.done`));
  }
  for (const name of await segmentsWith(status, "done")) {
    if (wanted.has(name)) await rename(join(status, `${name}.done`), join(status, `${name}.ready`));
  }
}

async function segmentsWith(status: string, state: "ready" | "done"): Promise<readonly string[]> {
  const ends = `.${state}`;
  const names = (await readdir(status)).filter((name) => name.endsWith(ends) && name.length === 24 + ends.length);
  return names.map((name) => name.slice(0, 24)).sort();
}
