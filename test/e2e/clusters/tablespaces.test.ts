import { mkdir, readdir, readlink, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { createServedCluster, untilOpen } from "../helpers/served-cluster.ts";
import { openCluster } from "../../helpers/cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const rows = [{ count: 20_000, sum: 200_010_000 }];
const countRows = "SELECT count(*)::int, sum(n)::int FROM t";

const methods: readonly (readonly [string, readonly string[]])[] = [
  ["local", []],
  ["remote", ["--remote"]],
];

describe.each(methods)("a cluster with tablespaces (%s backup)", (_, flags) => {
  test("is restored to new places, and to the old ones when the originals are gone", async () => {
    await using source = await createServedCluster({ major: 17 });
    const { cluster, directory } = source;
    const [old, other] = [join(directory, "spaces/first one"), join(directory, "spaces/second")];
    await mkdir(old, { recursive: true });
    await mkdir(other);
    await cluster.start();
    await cluster.query(`CREATE TABLESPACE one LOCATION '${old}'`);
    await cluster.query(`CREATE TABLESPACE two LOCATION '${other}'`);
    await cluster.query("CREATE TABLE t TABLESPACE one AS SELECT n FROM generate_series(1, 20000) AS n");
    await cluster.query("CREATE INDEX ON t (n) TABLESPACE two");
    const { backup } = await source.backup(...flags);
    expect(backup.tablespaces.map(({ location }) => location)).toEqual([old, other]);

    const moved = join(directory, "moved/first");
    const second = backup.tablespaces[1]?.oid;
    {
      const places = ["--tablespace", `${old}=${moved}`, "--tablespace", `${second}=${directory}/moved/second`];
      await using restored = await source.restoreAndOpen("mapped", ...places);
      expect(await restored.query(countRows)).toEqual(rows);
      const found = await restored.query(
        "SELECT pg_tablespace_location(oid) AS place FROM pg_tablespace WHERE spcname IN ('one', 'two') ORDER BY spcname",
      );
      expect(found).toEqual([{ place: moved }, { place: join(directory, "moved/second") }]);
    }
    const stillUsed = await source.run(["restore", join(directory, "refused")]);
    expect(stillUsed.exitCode).toBe(4);
    expect(stillUsed.stderr).toContain(old);
    expect(await cluster.query(countRows)).toEqual(rows);

    await cluster.stop();
    for (const gone of [cluster.pgdata, old, other]) await rm(gone, { recursive: true });
    await using restored = await source.restoreAndOpen("pgdata");
    expect(await restored.query(countRows)).toEqual(rows);
    expect(await readlink(join(restored.pgdata, "pg_tblspc", String(second)))).toBe(other);
  });
});

describe("in-place tablespaces", () => {
  test.each(methods)("are inside the data directory when restored (%s backup)", async (_, flags) => {
    await using source = await createServedCluster({ major: 17, config: { allow_in_place_tablespaces: true } });
    await source.cluster.start();
    await source.cluster.query("CREATE TABLESPACE inside LOCATION ''");
    await source.cluster.query("CREATE TABLE t TABLESPACE inside AS SELECT n FROM generate_series(1, 20000) AS n");
    const { backup } = await source.backup(...flags);
    expect(backup.tablespaces).toMatchObject([{ location: null }]);
    await using restored = await source.restoreAndOpen("restored");
    expect(await restored.query(countRows)).toEqual(rows);
    const oid = String(backup.tablespaces[0]?.oid);
    expect(await readdir(join(restored.pgdata, "pg_tblspc"))).toEqual([oid]);
    await expect(readlink(join(restored.pgdata, "pg_tblspc", oid))).rejects.toThrow("EINVAL");
  });

  test("that PostgreSQL 15 leaves out of what it sends are no silent loss: a remote backup is refused, a local one has them", async () => {
    await using source = await createServedCluster({ major: 15, config: { allow_in_place_tablespaces: true } });
    await source.cluster.start();
    await source.cluster.query("CREATE TABLESPACE inside LOCATION ''");
    await source.cluster.query("CREATE TABLE t TABLESPACE inside AS SELECT n FROM generate_series(1, 20000) AS n");
    const refused = await source.run(["backup", "--fast", "--remote"]);
    expect(refused.stderr).toContain("leaves in-place tablespace");
    expect(refused.exitCode).toBe(4);
    expect(await source.labels()).toEqual([]);
    await source.backup();
    const restored = await source.restore("restored");
    await using opened = await openCluster({ major: 15, env: { PGARK_NODE: process.execPath } }, restored.pgdata);
    await opened.start();
    await untilOpen(opened);
    expect(await opened.query(countRows)).toEqual(rows);
  });
});
