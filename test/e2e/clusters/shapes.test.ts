import { lstat, mkdir, readdir, readFile, readlink, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { createServedCluster, type ServedCluster, untilOpen } from "../helpers/served-cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const oddNames = ['it\'s a "name"', "per%cent $HOME \\ back", "Zürich 東京", "-leading", "new\nline"];
const longName = "n".repeat(180);

async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function pathOf(cluster: Cluster, table: string): Promise<string> {
  const [row] = await cluster.query<{ path: string }>("SELECT pg_relation_filepath($1) AS path", [table]);
  return row?.path ?? "";
}

describe.each([
  ["local", []],
  ["remote", ["--remote"]],
])("a %s backup", (method, flags) => {
  let source: ServedCluster;
  let restored: Cluster;
  let restoredFiles: readonly string[];
  let warnings: readonly string[];
  let unlogged: string;
  let temporaryFiles: readonly string[];

  /** One cluster with everything odd that does not get in another's way; pg_wal and the configuration are links. */
  beforeAll(async () => {
    source = await createServedCluster({ major: 17, walSegmentSizeMb: 1 });
    const { cluster, directory } = source;
    const { pgdata } = cluster;
    await rename(join(pgdata, "pg_wal"), join(directory, "wal elsewhere"));
    await symlink(join(directory, "wal elsewhere"), join(pgdata, "pg_wal"));
    await mkdir(join(directory, "etc"));
    await writeFile(join(directory, "etc/more.conf"), "work_mem = '5MB'");
    await symlink("more.conf", join(directory, "etc/link.conf"));
    await symlink("../etc/link.conf", join(pgdata, "more.conf"));
    // PostgreSQL's own tar archives take names up to 99 bytes.
    if (method === "local") await writeFile(join(pgdata, longName), longName);
    await symlink("nowhere", join(pgdata, "dangling"));
    for (const name of oddNames) await writeFile(join(pgdata, name), name);
    await cluster.start();
    await cluster.query("CREATE UNLOGGED TABLE u (n int PRIMARY KEY)");
    await cluster.query("INSERT INTO u SELECT generate_series(1, 10000)");
    await cluster.query(`
      DO $$ BEGIN
        FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE many_%s (n int)', i); END LOOP;
      END $$`);
    await cluster.query("INSERT INTO many_1234 VALUES (1234)");
    unlogged = await pathOf(cluster, "u");
    const client = await cluster.connect();
    await client.query("SET temp_buffers = '800kB'");
    await client.query("CREATE TEMPORARY TABLE temporary AS SELECT repeat('x', 500) FROM generate_series(1, 20000)");
    temporaryFiles = (await filesBelow(join(pgdata, "base"))).filter((file) => /\/t\d+_\d+$/.test(file));
    warnings = (await source.backup(...flags)).warnings;
    await client.end();
    restored = await source.restore("restored");
    restoredFiles = (await filesBelow(restored.pgdata)).map((file) => file.slice(restored.pgdata.length + 1));
    await restored.start();
    await untilOpen(restored);
  });

  test("of unlogged relations has the init forks only: they come back empty and usable", async () => {
    expect(restoredFiles).toContain(`${unlogged}_init`);
    expect(restoredFiles).not.toContain(unlogged);
    expect(await restored.query("SELECT count(*)::int FROM u")).toEqual([{ count: 0 }]);
    await restored.query("INSERT INTO u VALUES (1)");
  });

  test("leaves out temporary relations that a session has in use", () => {
    expect(temporaryFiles).not.toEqual([]);
    expect(restoredFiles.filter((file) => /\/t\d+_\d+/.test(file))).toEqual([]);
  });

  test("has two thousand tables, each with its rows", async () => {
    const tables = await restored.query("SELECT count(*)::int FROM pg_class WHERE relname LIKE 'many\\_%'");
    expect(tables).toEqual([{ count: 2000 }]);
    expect(await restored.query("SELECT n FROM many_1234")).toEqual([{ n: 1234 }]);
  });

  test("has files of any name", async () => {
    const names = method === "local" ? [...oddNames, longName] : oddNames;
    for (const name of names) expect(await readFile(join(restored.pgdata, name), "utf8")).toBe(name);
  });

  test("of a cluster whose pg_wal is a link makes pg_wal a directory, or a link to --waldir", async () => {
    expect((await lstat(join(restored.pgdata, "pg_wal"))).isDirectory()).toBe(true);
    const waldir = join(source.directory, "new wal");
    await using elsewhere = await source.restoreAndOpen("elsewhere", "--waldir", waldir);
    expect(await readlink(join(elsewhere.pgdata, "pg_wal"))).toBe(waldir);
    expect(await elsewhere.query("SELECT n FROM many_1234")).toEqual([{ n: 1234 }]);
    expect((await readdir(waldir)).filter((name) => /^[0-9A-F]{24}$/.test(name))).not.toEqual([]);
  });

  test("has what configuration files that are links point to, by however many links; or says that the server left them out", async () => {
    const linked = await readFile(join(source.directory, "etc/link.conf"), "utf8");
    const found = await readFile(join(restored.pgdata, "more.conf"), "utf8").catch(() => undefined);
    const said = warnings.some((warning) => warning.includes("more.conf"));
    expect({ found, said }).toEqual(
      method === "local" ? { found: linked, said: false } : { found: undefined, said: true },
    );
  });
});

describe("a cluster", () => {
  test.each([1, 64])("with WAL segments of %d MB is archived, backed up both ways and restored", async (megabytes) => {
    await using source = await createServedCluster({ major: 17, walSegmentSizeMb: megabytes, encrypt: true });
    await source.cluster.start();
    await source.cluster.query("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n");
    const local = await source.backup();
    expect(local.backup.walSegmentSize).toBe(megabytes * 1024 * 1024);
    await source.cluster.query("INSERT INTO t SELECT generate_series(1001, 20000)");
    const remote = await source.backup("--remote");
    await source.cluster.query("INSERT INTO t SELECT generate_series(20001, 40000)");
    await source.archiveAll();
    for (const { backup } of [local, remote]) {
      await using restored = await source.restoreAndOpen(`from-${backup.method}`, "--backup", backup.label);
      expect(await restored.query("SELECT count(*)::int, sum(n)::int FROM t")).toEqual([
        { count: 40_000, sum: 800_020_000 },
      ]);
    }
  });

  test("without checksums is backed up without a look at its pages", async () => {
    await using source = await createServedCluster({ major: 18, checksums: false });
    await source.cluster.start();
    await source.cluster.query("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n");
    for (const flags of [[], ["--remote"]]) {
      expect(await source.backup(...flags)).toMatchObject({
        badPages: [],
        backup: { badPages: 0, dataChecksums: false },
      });
    }
    await using restored = await source.restoreAndOpen("restored");
    expect(await restored.query("SELECT count(*)::int FROM t")).toEqual([{ count: 1000 }]);
  });
});
