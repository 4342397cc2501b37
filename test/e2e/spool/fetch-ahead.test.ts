import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  openRestored,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";

/** PGARK_TEST_SEGMENTS: how many segments the replica that follows the archive alone has to follow. */
const followed = Number(process.env["PGARK_TEST_SEGMENTS"] ?? 30);
/** Several servers on a machine that may have other things to do. */
const patienceSeconds = 120 + followed;
vi.setConfig({ testTimeout: 60_000 + 2000 * patienceSeconds });
const segmentSize = 1024 * 1024;

let archiving: ArchivingCluster;
let primary: Cluster;

beforeAll(async () => {
  const { path: directory } = await temporaryDirectory("pgark-fetch-ahead");
  archiving = await startArchivingCluster({
    directory,
    encrypted: true,
    walSegmentSizeMb: 1,
    config: { max_wal_size: "64MB", min_wal_size: "2MB" },
  });
  primary = archiving.cluster;
  await primary.query("create table rows (id bigint generated always as identity, payload text)");
  expectDone(await archiving.run(["backup", "--fast"]));
}, 120_000);

afterAll(async () => {
  await primary.stop();
});

/** Writes so many segments' worth of rows, in several transactions. */
async function write(server: Cluster, segments: number): Promise<void> {
  const client = await server.connect();
  try {
    for (let done = 0; done < segments; done++) {
      await client.query(
        "insert into rows (payload) select string_agg(md5(random()::text), '') from generate_series(1, 250), generate_series(1, 100) row group by row",
      );
    }
  } finally {
    await client.end();
  }
}

async function digest(server: Cluster): Promise<unknown> {
  const [row] = await server.query(
    "select count(*)::int as count, md5(string_agg(md5(r::text), '' order by id)) as md5 from rows r",
  );
  return row;
}

async function restore(name: string, ...flags: readonly string[]): Promise<Cluster> {
  const pgdata = join(archiving.directory, name);
  expectDone(await archiving.run(["restore", pgdata, "--no-progress", ...flags]));
  return openRestored({ ...archiving, env: { ...archiving.env, PGARK_LINGER: "2s" } }, pgdata);
}

async function untilOpen(server: Cluster): Promise<void> {
  await until(
    async () => {
      const [row] = await server.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
      return row?.recovering === false;
    },
    "recovery to end",
    120,
  );
}

/** Names and bytes of the WAL that lies in the spool of a server. */
async function fetchedAhead(server: Cluster): Promise<readonly string[]> {
  const spool = `${server.pgdata}.pgark-spool`;
  const found = await readdir(spool, { recursive: true }).catch(() => []);
  return found.filter((path) => /\/wal\/[0-9A-F]{24}$/.test(path));
}

describe("fetching ahead", () => {
  test("a recovery takes its segments from the spool, ends with every row, and leaves no WAL behind", async () => {
    await write(primary, 30);
    await archiveCurrentSegment(primary);
    const expected = await digest(primary);
    await using server = await restore("recovered", "--action", "promote");
    await server.start();
    await untilOpen(server);
    expect(await digest(server)).toEqual(expected);
    const log = await readFile(`${server.pgdata}.pgark-spool/fetch.log`, "utf8");
    expect(log).toContain("began to fetch ahead");
    await until(async () => (await fetchedAhead(server)).length === 0, "the spool to be emptied");
    await until(
      async () => (await readFile(`${server.pgdata}.pgark-spool/fetch.log`, "utf8")).includes("ended: idle"),
      "the background process to end",
    );
  });

  test("a replica that follows the archive alone has every row, through a promotion of its primary, and keeps no space", async () => {
    await using replica = await restore("replica", "--standby");
    await replica.configure({ wal_retrieve_retry_interval: "200ms" });
    await replica.start();
    let most = 0;
    const watching = setInterval(() => {
      void fetchedAhead(replica).then((names) => (most = Math.max(most, names.length)));
    }, 50);
    try {
      await write(primary, followed);
      const last = await archiveCurrentSegment(primary);
      await untilReplayed(replica, last);
      expect(await digest(replica)).toEqual(await digest(primary));
      // Nothing was stored twice, and differently.
      expect(await primary.query("select failed_count::int as failed from pg_stat_archiver")).toEqual([{ failed: 0 }]);

      // The primary is replaced by another standby, whose timeline the replica has to go over to.
      await using next = await restore("next", "--standby", "--archiving", "on");
      await next.configure({ wal_retrieve_retry_interval: "200ms" });
      await next.start();
      await untilReplayed(next, last);
      await primary.stop();
      await next.promote();
      await write(next, 10);
      await untilReplayed(replica, await archiveCurrentSegment(next));
      expect(await digest(replica)).toEqual(await digest(next));
    } finally {
      clearInterval(watching);
    }
    expect(most * segmentSize).toBeLessThanOrEqual(256 * segmentSize);
    await until(async () => (await fetchedAhead(replica)).length === 0, "the spool to be empty at the end of WAL");
    await replica.stop();
    await until(() => !existsSync(join(replica.pgdata, "postmaster.pid")), "the replica to be gone");
  });
});

/** Until a replica has replayed the whole of a segment. */
async function untilReplayed(replica: Cluster, segment: string): Promise<void> {
  await until(
    async () => {
      const [row] = await replica
        .query<{ replayed: string | null }>("select lsn::text as replayed from pg_last_wal_replay_lsn() lsn")
        .catch(() => []);
      if (row?.replayed === undefined || row.replayed === null) return false;
      const [high = "0", low = "0"] = row.replayed.split("/");
      const reached = (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
      const [log, number] = [BigInt(`0x${segment.slice(8, 16)}`), BigInt(`0x${segment.slice(16)}`)];
      return reached >= (log << 32n) + (number + 1n) * BigInt(segmentSize);
    },
    `${segment} to be replayed`,
    patienceSeconds,
  );
}
