import { rm } from "node:fs/promises";
import { expect, test, vi } from "vitest";
import { parseWalFileName, segmentFileName, segmentNumber } from "../../../src/postgres/wal-file-name.ts";
import { openStore } from "../../../src/storage/open-store.ts";
import { startFaultProxy } from "../../helpers/fault-proxy.ts";
import type { Cluster } from "../../helpers/cluster.ts";
import { randomFaults } from "../../helpers/random-faults.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { startS3Server } from "../../helpers/s3-server.ts";
import { s3Environment, s3Url } from "./real-stores.ts";
import { createStoredCluster } from "./stored-cluster.ts";

/** All can be raised from outside, for a run of hours; what is proven stays the same. */
const segments = Number(process.env["PGARK_TEST_FAULTY_SEGMENTS"] ?? 24);
const percent = Number(process.env["PGARK_TEST_FAULT_PERCENT"] ?? 5);
const seed = Number(process.env["PGARK_TEST_SEED"] ?? 1);
const walSegmentSize = 1024 * 1024;
/** Each costs its client a minute until it is noticed. */
const hangs = Number(process.env["PGARK_TEST_FAULTY_HANGS"] ?? 0);

describeWith(["radosgw"], `with a store that breaks ${percent} % of all requests`, () => {
  test(
    `${segments} segments and two base backups arrive whole, and come back exactly`,
    async () => {
      const server = await startS3Server();
      const proxy = await startFaultProxy({ target: server.endpoint });
      const bucket = await server.createBucket();
      const url = s3Url(bucket, proxy.endpoint);
      const env = s3Environment(server.env);
      const shape = { walSegmentSizeMb: 1, config: { min_wal_size: "16MB", max_wal_size: "64MB" } };
      proxy.add(randomFaults({ percent, seed, hangs }));
      const { cluster, json, archiveAll, restore } = await createStoredCluster({ url, env }, shape);
      await cluster.start();
      await cluster.query("create table t (segment integer, payload text)");
      await json(["backup", "--fast"]);
      await writeSegments(cluster, 1, segments / 2);
      await json(["backup", "--fast", "--remote"]);
      await writeSegments(cluster, segments / 2 + 1, segments);
      const end = await contentOf(cluster);
      await archiveAll();
      const [row] = await cluster.query<{ last: string }>("select last_archived_wal as last from pg_stat_archiver");
      await cluster.kill9();
      await rm(cluster.pgdata, { recursive: true });

      // The server recycles what it was told is archived, so all of that must be there: one segment after the other.
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
      const found = await storedSegments(url.replace(proxy.endpoint, server.endpoint));
      expect(found.length).toBeGreaterThanOrEqual(segments);
      expect(found).toContain(row?.last);
      expect(found).toEqual(found.map((_, index) => next(found[0] ?? "", index)));

      const restored = await restore("restored");
      expect(await contentOf(restored)).toEqual(end);
      console.log(
        `${found.length} segments, ${proxy.requests.length} requests, faults: ${JSON.stringify(proxy.tally)}`,
      );
    },
    600_000 + segments * 5000,
  );
});

/** Some 300 kB of what cannot be compressed in each segment. */
async function writeSegments(cluster: Cluster, from: number, to: number): Promise<void> {
  const client = await cluster.connect();
  try {
    for (let segment = from; segment <= to; segment++) {
      await client.query(
        "insert into t select $1, string_agg(md5(random()::text), '') from generate_series(1, 10000) n group by n / 25",
        [segment],
      );
      await client.query("select pg_switch_wal()");
    }
  } finally {
    await client.end();
  }
}

async function contentOf(cluster: Cluster): Promise<unknown> {
  const sum = "md5(string_agg(segment || payload, '' order by segment, payload))";
  return cluster.query(`select count(*)::int as rows, max(segment) as last, ${sum} as md5 from t`);
}

/** The names of all segments in the repository, in order. */
async function storedSegments(url: string): Promise<readonly string[]> {
  const store = await openStore(url, { environment: {} });
  const names: string[] = [];
  for await (const { key } of store.list("")) {
    const name = /\/([0-9A-F]{24})\.zst/.exec(key)?.[1];
    if (name !== undefined) names.push(name);
  }
  await store.close();
  return names;
}

/** The name of the segment that comes `count` after `name`. */
function next(name: string, count: number): string {
  const parsed = parseWalFileName(name);
  if (parsed?.kind !== "segment") throw new Error(`${name} is no segment`);
  return segmentFileName(parsed.timeline, segmentNumber(parsed, walSegmentSize) + BigInt(count), walSegmentSize);
}
