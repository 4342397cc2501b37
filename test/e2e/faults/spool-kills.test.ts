import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { signalIfAlive, until, workersIn } from "../../helpers/processes.ts";
import { Random } from "../../helpers/random.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  openRestored,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";
import { openAllWal, openAudited } from "../helpers/repository-audit.ts";

const seed = Number(process.env["PGARK_TEST_SEED"] ?? 1);
/** PGARK_TEST_SPOOL_KILLS: how many processes are killed in all. */
const kills = Number(process.env["PGARK_TEST_SPOOL_KILLS"] ?? 20);

const victims = ["pusher", "prefetcher", "front", "postmaster"] as const;
type Victim = (typeof victims)[number];

/** Ends segments without a pause until it is stopped, over restarts of the server. */
class Load {
  readonly #cluster: Cluster;
  readonly #ended: Promise<void>;
  #stopped = false;
  rows = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const client = await this.#cluster.connect().catch(() => undefined);
      if (client === undefined) {
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      try {
        while (!this.#stopped) {
          await client.query("insert into rows select md5(i::text) from generate_series(1, 2000) i");
          this.rows += 2000;
          await client.query("select pg_switch_wal()");
          // So much that there is always work ahead, and no more, or the rest of the test would wait for it.
          while (!this.#stopped && (await readyCount(this.#cluster)) > 60) await client.query("select pg_sleep(0.05)");
        }
      } catch {
        // The server was killed; it comes back.
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }
}

test(
  `nothing acknowledged is missing after ${kills} kills of pusher, prefetcher, front and postmaster (seed ${seed})`,
  { timeout: 120_000 + kills * 3000 },
  async () => {
    const { path: directory } = await temporaryDirectory("pgark-spool-kills");
    const archiving = await startArchivingCluster({
      directory,
      encrypted: true,
      walSegmentSizeMb: 1,
      config: { archive_command: "false", max_wal_size: "1GB", wal_keep_size: "0" },
    });
    const { cluster } = archiving;
    const acknowledged = join(directory, "acknowledged");
    // Written by the shell, after pgark has said 0. A killed front ends with more than 125, for which PostgreSQL ends its
    // archiver for ten seconds.
    await cluster.configure({
      archive_command: `"${archiving.pgark.program}" wal-push %p && echo %f >> "${acknowledged}" || exit 1`,
    });
    await cluster.query("create table rows (payload text)");
    expectDone(await archiving.run(["backup", "--fast"]));
    const replica = await startReplica(archiving);
    const killed = new Map<Victim, number>(victims.map((victim) => [victim, 0]));
    const load = new Load(cluster);
    const random = new Random(seed);
    for (let left = kills; left > 0;) {
      const victim = victims[random.below(victims.length)] ?? "front";
      // The postmaster takes a second to come back: one in three of its turns.
      if (victim === "postmaster" && random.below(3) > 0) continue;
      await untilSomeSegments(acknowledged, random.below(6));
      if (!(await kill(victim, cluster, replica))) continue;
      killed.set(victim, (killed.get(victim) ?? 0) + 1);
      left--;
    }
    await load.stop();
    console.log(`kills: ${[...killed].map(([victim, count]) => `${victim} ${count}`).join(", ")}`);
    expect(Math.min(...killed.values())).toBeGreaterThan(0);

    await until(async () => (await readyCount(cluster)) === 0, "all WAL to be archived", 120);
    await archiveCurrentSegment(cluster);
    const names = (await readFile(acknowledged, "utf8")).split("\n").filter((line) => line !== "");
    const status = await readdir(join(cluster.pgdata, "pg_wal/archive_status"));
    const done = status.filter((name) => name.endsWith(".done")).map((name) => name.slice(0, -5));
    // Each is opened: decrypted, its digest and header checked.
    const stored = await openAllWal(await openAudited(archiving.repository, archiving.identityFile));
    expect(names.length).toBeGreaterThan(kills / 2);
    expect([...names, ...done].filter((name) => !stored.has(name))).toEqual([]);

    const [wanted] = await cluster.query("select count(*)::int, md5(string_agg(payload, '' order by ctid)) from rows");
    await until(
      async () => {
        const rows = await replica
          .query("select count(*)::int, md5(string_agg(payload, '' order by ctid)) from rows")
          .catch(() => []);
        return JSON.stringify(rows[0]) === JSON.stringify(wanted);
      },
      "the replica to have every row",
      120,
    );
  },
);

async function readyCount(cluster: Cluster): Promise<number> {
  const status = await readdir(join(cluster.pgdata, "pg_wal/archive_status"));
  return status.filter((name) => name.endsWith(".ready")).length;
}

async function startReplica(archiving: ArchivingCluster): Promise<Cluster> {
  const pgdata = join(archiving.directory, "replica");
  expectDone(await archiving.run(["restore", pgdata, "--standby", "--no-progress"]));
  const replica = await openRestored(archiving, pgdata);
  await replica.configure({ wal_retrieve_retry_interval: "100ms" });
  await replica.start();
  return replica;
}

/** Until so many more files are acknowledged: kills are spread by progress, not by the clock. */
async function untilSomeSegments(acknowledged: string, more: number): Promise<void> {
  const count = async (): Promise<number> => (await readFile(acknowledged, "utf8").catch(() => "")).split("\n").length;
  const before = await count();
  await until(async () => (await count()) >= before + more, `${more} more files to be acknowledged`, 120);
}

/** Whether there was one to kill. */
async function kill(victim: Victim, cluster: Cluster, replica: Cluster): Promise<boolean> {
  if (victim === "postmaster") {
    await cluster.kill9();
    await cluster.start();
    return true;
  }
  const pids = await pidsOf(victim, victim === "prefetcher" ? replica : cluster);
  for (const pid of pids) signalIfAlive(pid, "SIGKILL");
  return pids.length > 0;
}

async function pidsOf(victim: Exclude<Victim, "postmaster">, cluster: Cluster): Promise<readonly number[]> {
  const word = { pusher: "wal-pusher", prefetcher: "wal-prefetcher", front: "wal-push" }[victim];
  const found: number[] = [];
  for (const pid of workersIn(cluster.pgdata)) {
    const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (command.split("\0").includes(word)) found.push(pid);
  }
  return found;
}
