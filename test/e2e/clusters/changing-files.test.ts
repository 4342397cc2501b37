import type { Client } from "pg";
import { expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { createServedCluster } from "../helpers/served-cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** Tables come, grow, are emptied and go, over and over. Each round leaves one table of known content. */
async function churn(client: Client, signal: AbortSignal): Promise<number> {
  let round = 0;
  while (!signal.aborted) {
    const slot = round % 7;
    await client.query(`DROP TABLE IF EXISTS coming_${slot}`);
    await client.query(`CREATE TABLE coming_${slot} (n int PRIMARY KEY, filler text)`);
    await client.query(`INSERT INTO coming_${slot} SELECT n, repeat('x', 300) FROM generate_series(1, 3000) AS n`);
    await client.query("TRUNCATE emptied");
    await client.query("INSERT INTO emptied SELECT n, repeat('y', 300) FROM generate_series(1, 3000) AS n");
    await client.query("DELETE FROM shrinking WHERE n > 10");
    await client.query("VACUUM (TRUNCATE) shrinking");
    await client.query("INSERT INTO shrinking SELECT n, repeat('z', 300) FROM generate_series(11, 5000) AS n");
    round++;
  }
  return round;
}

async function findCorruption(cluster: Cluster): Promise<readonly unknown[]> {
  const indexes = "SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class c ON c.oid = indexrelid";
  await cluster.query("CREATE EXTENSION amcheck");
  await cluster.query(`${indexes} JOIN pg_am am ON am.oid = c.relam AND amname = 'btree' WHERE relpersistence = 'p'`);
  return cluster.query(`
    SELECT relname, found.* FROM pg_class c, verify_heapam(c.oid) AS found
     WHERE relkind IN ('r', 't', 'm') AND relpersistence = 'p'`);
}

test("files that vanish, shrink and grow while they are copied are mended by WAL: amcheck finds nothing after a restore", async () => {
  await using source = await createServedCluster({ major: 17, config: { shared_buffers: "1MB" } });
  const { cluster } = source;
  await cluster.start();
  await cluster.query("CREATE TABLE emptied (n int PRIMARY KEY, filler text)");
  await cluster.query("CREATE TABLE shrinking (n int PRIMARY KEY, filler text)");
  const client = await cluster.connect();
  const stop = new AbortController();
  const churning = churn(client, stop.signal);
  const labels: string[] = [];
  try {
    for (const flags of [[], ["--remote"], ["--rate", "30MB/s"], ["--remote", "--rate", "30MB/s"]]) {
      const { backup, badPages, warnings } = await source.backup(...flags);
      expect({ flags, badPages, warnings }).toEqual({ flags, badPages: [], warnings: [] });
      labels.push(backup.label);
    }
  } finally {
    stop.abort();
    expect(await churning).toBeGreaterThan(3);
    await client.end();
  }
  // Pages that were being written while they were copied are whole by now, or WAL is known to write them anew.
  const verified = await source.run(["verify", "--read"]);
  expect(verified.exitCode, verified.stdout + verified.stderr).toBe(0);
  for (const label of labels) {
    const target = ["--backup", label, "--to", "immediate", "--action", "promote"];
    await using restored = await source.restoreAndOpen(`at-${label}`, ...target);
    expect(await findCorruption(restored)).toEqual([]);
  }
}, 180_000);
