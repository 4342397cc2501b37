import { existsSync } from "node:fs";
import { lstat, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { type Cluster, createCluster, openCluster } from "../../helpers/cluster.ts";
import { installPgark } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { archiveCurrentSegment, expectDone } from "../helpers/archiving-cluster.ts";
import {
  insertRows,
  type RecoveryArchive,
  rowsOf,
  startRecoveryArchive,
  untilPromoted,
} from "../helpers/recovery-archive.ts";

// Several servers, one after the other, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

let archive: RecoveryArchive;

beforeAll(async () => {
  archive = await startRecoveryArchive();
  const source = archive.cluster;
  // What an earlier recovery, done by hand, left behind in both files.
  await source.query("alter system set recovery_target_name = 'of last year'");
  await source.query("alter system set restore_command = 'cp /old/archive/%f %p'");
  await source.query("alter system set work_mem = '5MB'");
  await source.configure({ recovery_target_xid: "4711", recovery_end_command: "true" });
  await source.query("create table t (id int)");
  await insertRows(source, 1);
  await archive.backup();
  await insertRows(source, 2);
  await archiveCurrentSegment(source);
}, 120_000);

const setting = async (server: Cluster, name: string): Promise<string> =>
  (await server.query<{ value: string }>("select current_setting($1) as value", [name]))[0]?.value ?? "";

describe("a restored clone", () => {
  test("does not write into its source's history, and what restore says leads to an archive of its own", async () => {
    const pgdata = join(archive.directory, "clone");
    const restored = await archive.run(["restore", pgdata]);
    expectDone(restored);
    expect(restored.stdout).toMatch(/archiving is off, so that two clusters do not write one history/);
    await using clone = await openCluster({ major: 17, env: archive.env }, pgdata);
    await clone.start();
    await untilPromoted(clone);
    expect(await setting(clone, "archive_mode")).toBe("off");
    const before = await archive.walFiles();
    await insertRows(clone, 100);
    await clone.query("select pg_switch_wal()");
    await clone.query("checkpoint");
    expect(await archive.walFiles()).toEqual(before);

    // Step by step as the last lines say.
    const steps = restored.stdout.slice(restored.stdout.indexOf("how to go on"));
    const init = /pgark (init .*)$/m.exec(steps)?.[1]?.replace("<another name>", "clone").split(" ") ?? [];
    const { archiveCommand } = (await archive.json(init)) as { archiveCommand: string };
    const statements = [...steps.matchAll(/^ *(ALTER SYSTEM .*)$/gm)].map(([, statement = ""]) =>
      statement.replace("'<as init prints it>'", `'${archiveCommand.replaceAll("'", "''")}'`),
    );
    expect(statements).toHaveLength(2);
    for (const statement of statements) await clone.query(statement);
    await clone.restart();
    const env = { PGARK_CLUSTER: "clone", PGARK_PGDATA: pgdata, PGARK_DBNAME: clone.connectionString };
    expectDone(await archive.run(["backup", "--fast"], { env }));
    await insertRows(clone, 101);
    await archiveCurrentSegment(clone);
    expect(await archive.walFiles()).toEqual(before);

    const again = join(archive.directory, "clone-of-clone");
    expectDone(await archive.run(["restore", again], { env }));
    await using second = await openCluster({ major: 17, env: archive.env }, again);
    await second.start();
    await untilPromoted(second);
    expect(await rowsOf(second)).toEqual([1, 2, 100, 101]);
  });

  test("has its source's settings, but none of an earlier recovery", async () => {
    await using clone = await archive.restore("settings", "--to", "immediate", "--action", "promote");
    const autoConf = await readFile(join(clone.pgdata, "postgresql.auto.conf"), "utf8");
    expect(autoConf).toMatch(/^# before the restore: recovery_target_name = 'of last year'$/m);
    expect(autoConf).toMatch(/^# before the restore: restore_command = 'cp \/old\/archive\/%f %p'$/m);
    await clone.start();
    await untilPromoted(clone);
    expect(await setting(clone, "work_mem")).toBe("5MB");
    expect(await rowsOf(clone)).toEqual([1]);
  });

  test("is planned by pgark plan as restore does it", async () => {
    const plan = await archive.json(["plan", "--to", "immediate"]);
    const dry = await archive.json(["restore", join(archive.directory, "dry"), "--to", "immediate", "--dry-run"]);
    expect(existsSync(join(archive.directory, "dry"))).toBe(false);
    expect(dry).toEqual({ plan, restored: null });
    const pgdata = join(archive.directory, "done");
    const done = await archive.json(["restore", pgdata, "--to", "immediate"]);
    expect(done).toMatchObject({ plan, restored: { pgdata, archiving: false } });
  });

  test("keeps its WAL where --waldir says", async () => {
    const waldir = join(archive.directory, "wal-elsewhere");
    await using clone = await archive.restore("waldir", "--waldir", waldir);
    expect((await lstat(join(clone.pgdata, "pg_wal"))).isSymbolicLink()).toBe(true);
    expect(await readlink(join(clone.pgdata, "pg_wal"))).toBe(waldir);
    await clone.start();
    await untilPromoted(clone);
    expect(await rowsOf(clone)).toEqual([1, 2]);
  });
});

test("a standby that has only the archive follows its primary over to a new timeline, and can be promoted", async () => {
  await using standby = await archive.restore("standby", "--standby");
  await standby.configure({ wal_retrieve_retry_interval: "100ms" });
  await standby.start();
  await until(async () => (await rowsOf(standby)).length === 2, "the standby to have what is archived");
  await insertRows(archive.cluster, 3);
  await archiveCurrentSegment(archive.cluster);
  await until(async () => (await rowsOf(standby)).length === 3, "the standby to follow");

  // The primary is lost, and comes back from its archive: timeline 2.
  await archive.cluster.kill9();
  await using primary = await archive.restore("primary", "--archiving", "on");
  await primary.start();
  await untilPromoted(primary);
  await insertRows(primary, 4);
  await archiveCurrentSegment(primary);
  expect(await archive.walFiles()).toContain("00000002.history");
  await until(async () => (await rowsOf(standby)).length === 4, "the standby to follow to timeline 2");
  expect(await setting(standby, "primary_conninfo")).toBe("");

  const archived = await archive.walFiles();
  await standby.promote();
  await insertRows(standby, 5);
  expect(await rowsOf(standby)).toEqual([1, 2, 3, 4, 5]);
  const [row] = await standby.query<{ file: string }>("select pg_walfile_name(pg_current_wal_lsn()) as file");
  expect(row?.file.slice(0, 8)).toBe("00000003");
  expect(await archive.walFiles()).toEqual(archived);
});

test("paths with spaces, quotes, percent signs and backslashes come through to a real server, there and back", async () => {
  const { path } = await temporaryDirectory();
  const directory = join(path, `it's 100% odd`);
  // (No backslash here: node does not load modules from such a path.)
  const pgark = await installPgark(join(directory, `pg"ark $HOME`));
  await using source = await createCluster({ directory, major: 17, env: { PGARK_NODE: process.execPath } });
  // Nothing in the environment: all that the server needs is in the commands that pgark writes.
  const place = ["--repository", join(directory, `the "repo"; \\ %p`), "--cluster", "main"];
  const run = async (...args: readonly string[]): Promise<string> => {
    const ended = await pgark.run([...args, ...place]);
    expectDone(ended);
    return ended.stdout;
  };
  const { archiveCommand } = JSON.parse(await run("init", "--pgdata", source.pgdata, "--json")) as {
    archiveCommand: string;
  };
  await source.configure({ archive_mode: true, archive_command: archiveCommand.replaceAll("\\", "\\\\") });
  await source.start();
  await source.query("create table t (id int)");
  await insertRows(source, 1);
  await run("backup", "--fast", "--pgdata", source.pgdata, "--dbname", source.connectionString);
  await insertRows(source, 2);
  await archiveCurrentSegment(source);
  const pgdata = join(directory, "restored");
  await run("restore", pgdata);
  await using restored = await openCluster({ major: 17, env: { PGARK_NODE: process.execPath } }, pgdata);
  await restored.start();
  await untilPromoted(restored);
  expect(await rowsOf(restored)).toEqual([1, 2]);
});
