import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Cluster, createCluster, openCluster } from "./cluster.ts";
import { majors } from "./postgres-programs.ts";
import { describeWith } from "./requirements.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./temp.ts";

let directory: TemporaryDirectory;
beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  await directory[Symbol.asyncDispose]();
});

async function settingOf(cluster: Cluster, name: string): Promise<unknown> {
  return (await cluster.query("select current_setting($1) as value", [name]))[0]?.["value"];
}

describe.each(majors)("a cluster of PostgreSQL %i", (major) => {
  test("starts, takes a query, survives a crash and stops", async () => {
    await using cluster = await createCluster({ major, directory: directory.path });
    expect(cluster.isRunning()).toBe(false);
    await cluster.start();
    expect(cluster.isRunning()).toBe(true);
    expect(await settingOf(cluster, "server_version_num")).toMatch(new RegExp(`^${major}`));
    expect(await settingOf(cluster, "data_checksums")).toBe("on");
    await cluster.query("create table kept as select 42 as answer");

    await cluster.kill9();
    expect(cluster.isRunning()).toBe(false);
    await cluster.start();
    expect(await cluster.query("select answer from kept")).toEqual([{ answer: 42 }]);
    expect(await cluster.log()).toContain("was not properly shut down");

    await cluster.stop();
    expect(cluster.isRunning()).toBe(false);
    await expect(cluster.connect()).rejects.toThrow("ENOENT");
  });
});

test("clusters have system identifiers of their own", async () => {
  const identifiers = [];
  for (const name of ["first", "second"]) {
    await using cluster = await createCluster({ major: 17, directory: directory.path, name });
    await cluster.start();
    identifiers.push((await cluster.query("select system_identifier from pg_control_system()"))[0]);
  }
  expect(identifiers[0]).not.toEqual(identifiers[1]);
});

test("a cluster takes a WAL segment size, no checksums, settings with quotes and a TCP port", async () => {
  await using cluster = await createCluster({
    major: 18,
    directory: directory.path,
    walSegmentSizeMb: 1,
    checksums: false,
    config: { archive_mode: "on", archive_command: "echo 'archived %f' >> archived; cp %p $ARCHIVE/%f" },
    env: { ARCHIVE: directory.path },
    tcp: true,
  });
  await cluster.start();
  expect(await settingOf(cluster, "wal_segment_size")).toBe("1MB");
  expect(await settingOf(cluster, "data_checksums")).toBe("off");
  expect(await settingOf(cluster, "listen_addresses")).toBe("127.0.0.1");
  expect(await settingOf(cluster, "archive_command")).toBe("echo 'archived %f' >> archived; cp %p $ARCHIVE/%f");
  await cluster.query("create table something as select 1");
  await cluster.query("select pg_switch_wal()");
  await cluster.stop();
  const archived = (await readdir(directory.path)).filter((file) => /^[0-9A-F]{24}$/.test(file));
  expect(archived).not.toEqual([]);
  for (const file of archived) expect((await stat(join(directory.path, file))).size).toBe(1 << 20);
});

test("a server that cannot start says so with its log", async () => {
  await using cluster = await createCluster({ major: 17, directory: directory.path, config: { work_mem: "plenty" } });
  await expect(cluster.start()).rejects.toThrow(/invalid value for parameter "work_mem"/);
});

test("an existing data directory opens as a cluster, and is promoted", async () => {
  await using source = await createCluster({ major: 16, directory: directory.path });
  await using standby = await openCluster({ major: 16, config: { hot_standby: "on" } }, source.pgdata);
  await writeFile(`${source.pgdata}/standby.signal`, "");
  await standby.start();
  expect(await standby.query("select pg_is_in_recovery() as recovering")).toEqual([{ recovering: true }]);
  await standby.promote();
  expect(await standby.query("select pg_is_in_recovery() as recovering")).toEqual([{ recovering: false }]);
});

describeWith(["postgresql-15"], "Debian's PostgreSQL 15", () => {
  test("starts, and knows lz4 and zstd", async () => {
    await using cluster = await createCluster({ major: 15, source: "debian", directory: directory.path });
    await cluster.configure({ wal_compression: "zstd", default_toast_compression: "lz4" });
    await cluster.start();
    expect(await settingOf(cluster, "wal_compression")).toBe("zstd");
  });
});
