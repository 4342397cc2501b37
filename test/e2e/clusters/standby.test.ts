import { describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { startLedger } from "../../helpers/ledger.ts";
import { until } from "../../helpers/processes.ts";
import { createServedCluster, type ServedCluster } from "../helpers/served-cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const methods: readonly (readonly [string, readonly string[]])[] = [
  ["local", []],
  ["remote", ["--remote"]],
];

/** A standby that pgark restored, which streams from its primary. */
async function startStandby(source: ServedCluster): Promise<ServedCluster> {
  await source.backup();
  const standby = await source.restore("standby", "--standby");
  const { socketDirectory, port } = source.cluster;
  await standby.configure({ primary_conninfo: `host=${socketDirectory} port=${port} user=postgres` });
  await standby.start();
  await until(async () => {
    const rows = await source.cluster.query("SELECT FROM pg_stat_replication WHERE state = 'streaming'");
    return rows.length > 0;
  }, "the standby to stream");
  return source.as(standby, source.name);
}

async function isBackingUp(standby: Cluster): Promise<boolean> {
  // A walsender of a base backup, or a session in which backup mode was begun and answered.
  const rows = await standby.query(
    `SELECT FROM pg_stat_activity WHERE query ~ '^ *(BASE_BACKUP|SELECT lsn.*backup_start)' AND pid <> pg_backend_pid()
        OR backend_type = 'walsender' AND query ~ 'BASE_BACKUP'`,
  );
  return rows.length > 0;
}

describe.each(methods)("a standby (%s backup)", (_, flags) => {
  test("is backed up under writes while its primary archives, and the backup is restored with all rows", async () => {
    await using source = await createServedCluster({ major: 17 });
    await source.cluster.start();
    await using standby = await startStandby(source);
    await using ledger = await startLedger({ connect: () => source.cluster.connect(), churnTableMb: 1 });
    await ledger.untilCommitted(100);
    await source.cluster.query("CHECKPOINT");
    const { backup } = await standby.backup(...flags);
    expect(backup).toMatchObject({ source: "standby", timeline: 1 });
    await ledger.untilCommitted(50);
    await ledger.stop();
    const count = "SELECT count(*)::int, md5(string_agg(md5(t::text), '' ORDER BY id)) FROM ledger t";
    const expected = await source.cluster.query(count);
    await source.archiveAll();
    await using restored = await source.restoreAndOpen("restored", "--backup", backup.label);
    expect(await restored.query(count)).toEqual(expected);
  });

  test("that is promoted during its backup fails it, and nothing is listed", async () => {
    await using source = await createServedCluster({ major: 17, walSegmentSizeMb: 1 });
    await source.cluster.start();
    await source.cluster.query("CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 20000)");
    await using standby = await startStandby(source);
    const before = await source.labels();
    // So slow that the promotion comes before its end.
    const running = standby.run(["backup", "--fast", "--rate", "4MB/s", "--jobs", "1", ...flags]);
    await until(() => isBackingUp(standby.cluster), "the backup to be under way");
    await standby.cluster.promote();
    const ended = await running;
    expect(ended.stderr).toMatch(/promoted|timeline/);
    expect(ended.exitCode).not.toBe(0);
    expect(await source.labels()).toEqual(before);
  });
});

test("a standby's data directory is not taken for its primary's", async () => {
  await using source = await createServedCluster({ major: 17 });
  await source.cluster.start();
  await using standby = await startStandby(source);
  const before = await source.labels();
  const ended = await source.run(["backup", "--fast", "-D", standby.cluster.pgdata]);
  expect(ended.stderr).toContain("the server does not run on");
  expect(ended.exitCode).toBe(4);
  expect(await source.labels()).toEqual(before);
});
