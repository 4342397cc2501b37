import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { createCluster } from "../../helpers/cluster.ts";
import { until } from "../../helpers/processes.ts";
import { createServedCluster } from "../helpers/served-cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const methods: readonly (readonly [string, readonly string[]])[] = [
  ["local", []],
  ["remote", ["--remote"]],
];

test("a server that does not archive is not backed up: it is told what to set", async () => {
  await using source = await createServedCluster({ major: 17 });
  const { cluster } = source;
  await cluster.configure({ archive_mode: false });
  await cluster.start();
  const off = await source.run(["backup", "--fast"]);
  expect(off.stderr).toContain("archive_mode is off");
  expect(off.stderr).toContain("pgark wal-push %p");
  expect(off.exitCode).toBe(4);
  await cluster.configure({ archive_mode: true, archive_command: "" });
  await cluster.restart();
  const empty = await source.run(["backup", "--fast"]);
  expect(empty.stderr).toContain("archive_command is empty");
  expect(empty.exitCode).toBe(4);
  expect(await source.labels()).toEqual([]);
});

test("while archiving fails, a backup says so and which segment, waits, and goes on when it works again", async () => {
  await using source = await createServedCluster({ major: 17 });
  const { cluster } = source;
  const [shown] = await source.json<{ archiveCommand: string }>(["init", "-D", cluster.pgdata]).then((made) => [made]);
  await cluster.configure({ archive_command: "false" });
  await cluster.start();

  const timedOut = await source.run(["backup", "--fast", "--wal-timeout", "3s"]);
  expect(timedOut.stderr).toMatch(/archiving of WAL segment 0{7}10{15}\d is failing, last at 20/);
  expect(timedOut.stderr).toContain("PostgreSQL's log");
  expect(timedOut.exitCode).toBe(4);
  expect(await source.labels()).toEqual([]);

  const running = source.run(["backup", "--fast"]);
  await until(async () => {
    const sessions = await cluster.query(
      "SELECT FROM pg_stat_activity WHERE query LIKE '%last_failed_wal%' AND pid <> pg_backend_pid()",
    );
    return sessions.length > 0;
  }, "the backup to look at the archiver");
  await cluster.configure({ archive_command: shown?.archiveCommand ?? "" });
  const ended = await running;
  expect(ended.exitCode).toBe(0);
  expect(await source.labels()).toHaveLength(1);
});

test("a backup without --fast says that it waits for a checkpoint", async () => {
  await using source = await createServedCluster({ major: 17, config: { checkpoint_completion_target: 0 } });
  await source.cluster.start();
  for (const flags of [[], ["--remote"]]) {
    const ended = await source.run(["backup", ...flags]);
    expect(ended.stderr).toContain("waiting for a checkpoint, which may take minutes (--fast does it at once)");
    expect(ended.exitCode).toBe(0);
  }
});

describe.each(methods)("a %s backup", (method, flags) => {
  test("whose session is terminated ends at once, and nothing is listed", async () => {
    await using source = await createServedCluster({ major: 17 });
    const { cluster } = source;
    await cluster.start();
    await cluster.query("CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 20000)");
    const running = source.run(["backup", "--fast", "--rate", "1MB/s", "--jobs", "1", ...flags]);
    const backends =
      method === "local" ? "query LIKE '%backup_start%' AND state = 'idle'" : "query LIKE 'BASE_BACKUP%'";
    await until(async () => {
      const ended = await cluster.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ${backends}`,
      );
      return ended.length > 0;
    }, "the session to be terminated");
    const ended = await running;
    expect(ended.stderr).toMatch(/session with PostgreSQL was lost|terminating connection/);
    expect(ended.exitCode).toBe(1);
    expect(await source.labels()).toEqual([]);
  });
});

test("a data directory of another cluster is refused", async () => {
  await using source = await createServedCluster({ major: 17 });
  await source.cluster.start();
  const other = await createCluster({ major: 17, directory: join(source.directory, "other") });
  const ended = await source.run(["backup", "--fast", "-D", other.pgdata]);
  expect(ended.stderr).toContain("the directory holds cluster 17-");
  expect(ended.exitCode).toBe(7);
  expect(await source.labels()).toEqual([]);
});

test("backups that run at the same time, begun in the same second, all succeed under labels of their own", async () => {
  await using source = await createServedCluster({ major: 17 });
  await source.cluster.start();
  await source.cluster.query("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n");
  const taken = await Promise.all([[], [], ["--remote"], ["--remote"]].map((flags) => source.backup(...flags)));
  const labels = taken.map(({ backup }) => backup.label);
  expect(new Set(labels).size).toBe(4);
  expect((await source.labels()).toSorted()).toEqual(labels.toSorted());
  for (const label of [labels[1] ?? "", labels[3] ?? ""]) {
    await using restored = await source.restoreAndOpen(label, "--backup", label);
    expect(await restored.query("SELECT count(*)::int FROM t")).toEqual([{ count: 1000 }]);
  }
});
