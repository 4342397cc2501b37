import { open } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { startLedger } from "../../helpers/ledger.ts";
import { type BackupAnswer, createServedCluster, type ServedCluster } from "../helpers/served-cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const pageSize = 8192;

async function corruptPage(file: string, block: number): Promise<void> {
  const handle = await open(file, "r+");
  try {
    await handle.write(Buffer.from("damaged"), 0, 7, block * pageSize + 5000);
  } finally {
    await handle.close();
  }
}

describe("a page that was damaged on disk", () => {
  let source: ServedCluster;
  let table: string;

  beforeAll(async () => {
    source = await createServedCluster({ major: 17 });
    const { cluster } = source;
    await cluster.start();
    await cluster.query("CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 2000)");
    await cluster.query("CREATE TABLE good AS SELECT n FROM generate_series(1, 2000) AS n");
    const [row] = await cluster.query<{ path: string }>("SELECT pg_relation_filepath('t') AS path");
    table = row?.path ?? "";
    await cluster.stop();
    await corruptPage(join(cluster.pgdata, table), 3);
    await corruptPage(join(cluster.pgdata, table), 60);
    await cluster.start();
  });

  test("is named by a local backup, which is taken all the same and ends with 3", async () => {
    const answer = await source.json<BackupAnswer>(["backup", "--fast"], 3);
    expect(answer.badPages).toEqual([
      { path: table, block: 3 },
      { path: table, block: 60 },
    ]);
    expect(answer.backup.badPages).toBe(2);
    expect(await source.labels()).toContain(answer.backup.label);
    await using restored = await source.restoreAndOpen("from-local", "--backup", answer.backup.label);
    expect(await restored.query("SELECT count(*)::int FROM good")).toEqual([{ count: 2000 }]);
    await expect(restored.query("SELECT * FROM t")).rejects.toThrow("invalid page in block 3");
  });

  test("is found by a remote backup, whose warnings name the file", async () => {
    const answer = await source.json<BackupAnswer>(["backup", "--fast", "--remote"], 3);
    expect(answer.warnings.join("\n")).toContain(table);
    expect(answer.backup.badPages).toBeGreaterThan(0);
    await using restored = await source.restoreAndOpen("from-remote", "--backup", answer.backup.label);
    expect(await restored.query("SELECT count(*)::int FROM good")).toEqual([{ count: 2000 }]);
  });
});

// A torn read is too rare to be counted on: this only shows that nothing is reported for a server at full load. That a torn page
// is read again is proven in test/repository/worker/reread-page.test.ts.
test("pages that the server is writing while they are read are no bad pages", async () => {
  // Almost no buffers: each update pushes dirty pages out to the very files that the backups read.
  const config = { shared_buffers: "512kB", bgwriter_delay: "10ms", bgwriter_lru_maxpages: 1000 };
  await using source = await createServedCluster({ major: 17, config });
  await source.cluster.start();
  await using ledger = await startLedger({ connect: () => source.cluster.connect(), churn: 20, churnTableMb: 4 });
  for (let round = 0; round < 6; round++) {
    await ledger.untilCommitted(20);
    const { badPages, warnings } = await source.backup(...(round % 2 === 0 ? [] : ["--remote"]));
    expect({ badPages, warnings }).toEqual({ badPages: [], warnings: [] });
  }
  await ledger.stop();
});
