import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  listedBackups,
  openRestored,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";
import { DetachedRun } from "../helpers/detached-run.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const signals = [
  { signal: "SIGINT", exitCode: 130 },
  { signal: "SIGTERM", exitCode: 143 },
] as const;

describe("a signal in the middle of a long command", () => {
  let archiving: ArchivingCluster;
  let directory: string;

  beforeAll(async () => {
    directory = (await temporaryDirectory("pgark-stop")).path;
    archiving = await startArchivingCluster({
      directory,
      encrypted: true,
      // Where archive_command fails, nothing is to be archived ahead of it either.
      env: { PGARK_SPOOL: "off" },
    });
    const { cluster } = archiving;
    await cluster.query("create table rows as select i, md5(i::text) as text from generate_series(1, 300000) i");
    await archiveCurrentSegment(cluster);
  });

  async function storedFiles(): Promise<readonly string[]> {
    const all = await readdir(archiving.repository, { recursive: true, withFileTypes: true });
    return all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  async function sessions(): Promise<number> {
    const others = await archiving.cluster.query(
      `select from pg_stat_activity where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid()`,
    );
    return others.length;
  }

  describe.each([{ method: "local" }, { method: "remote" }])("$method backup", ({ method }) => {
    const args = ["backup", "--fast", "--rate", "2MB/s", ...(method === "remote" ? ["--remote"] : [])];

    test.each(signals)("$signal ends it with $exitCode and leaves nothing open", async ({ signal, exitCode }) => {
      const before = await listedBackups(archiving);
      const run = await DetachedRun.start(archiving.pgark.program, args, { env: archiving.serverEnv });
      // In the middle: the server is in backup mode, and a pack is being written.
      await until(async () => (await storedFiles()).some((file) => isTemporary(file)), "the copy to begin");
      run.send(signal);
      const ended = await run.end();
      expect(ended, ended.stderr).toMatchObject({ exitCode, signal: null });
      expect(ended.stderr).toMatch(/^pgark: .*stopped/m);
      expect(ended.stderr).not.toMatch(/bug in pgark|internal|null/);
      expect(await listedBackups(archiving)).toEqual(before);
      expect((await storedFiles()).filter(isTemporary)).toEqual([]);
      await until(async () => (await sessions()) === 0, "its sessions to end", 5);
    });
  });

  test.each(signals)(
    "$signal while a backup waits for its WAL ends it with $exitCode",
    async ({ signal, exitCode }) => {
      const { cluster } = archiving;
      const before = await listedBackups(archiving);
      await cluster.configure({ archive_command: "false" });
      try {
        const run = await DetachedRun.start(archiving.pgark.program, ["backup", "--fast"], {
          env: archiving.serverEnv,
        });
        await until(() => run.stderr().includes("waiting for WAL"), "the backup to wait for its WAL");
        run.send(signal, "front");
        expect(await run.end()).toMatchObject({ exitCode, signal: null });
        expect(await listedBackups(archiving)).toEqual(before);
        expect((await storedFiles()).filter(isTemporary)).toEqual([]);
        await until(async () => (await sessions()) === 0, "its sessions to end", 5);
      } finally {
        await cluster.configure({ archive_command: `"${archiving.pgark.program}" wal-push %p` });
      }
    },
  );

  test.each(signals)(
    "$signal ends restore with $exitCode; what is there cannot start, and the next restore takes it",
    async ({ signal, exitCode }) => {
      if ((await listedBackups(archiving)).length === 0) expectDone(await archiving.run(["backup", "--fast"]));
      const pgdata = join(directory, `restored-${signal}`);
      const args = ["restore", pgdata, "--action", "promote"];
      const run = await DetachedRun.start(archiving.pgark.program, args, { env: archiving.env });
      await until(
        () =>
          stat(join(pgdata, "base")).then(
            () => true,
            () => false,
          ),
        "the first files to be restored",
      );
      run.send(signal);
      const ended = await run.end();
      expect(ended, ended.stderr).toMatchObject({ exitCode, signal: null });
      expect(ended.stderr).toMatch(/^pgark: restore.*stopped/m);
      await expect(stat(join(pgdata, "global/pg_control"))).rejects.toThrow("ENOENT");
      expectDone(await archiving.run(args));
      await using server = await openRestored(archiving, pgdata);
      await server.start();
      expect(await server.query("select count(*)::int as rows from rows")).toEqual([{ rows: 300000 }]);
      await server.stop();
      await rm(pgdata, { recursive: true });
    },
  );

  test("a server that crashes during a backup aborts it, with nothing listed", async () => {
    for (const method of [[], ["--remote"]]) {
      const before = await listedBackups(archiving);
      const run = await DetachedRun.start(archiving.pgark.program, ["backup", "--fast", "--rate", "2MB/s", ...method], {
        env: archiving.serverEnv,
      });
      await until(async () => (await storedFiles()).some(isTemporary), "the copy to begin");
      await archiving.cluster.kill9();
      const ended = await run.end();
      expect(ended.exitCode, ended.stderr).toBe(1);
      expect(ended.stderr).toMatch(/^pgark: .*PostgreSQL/m);
      expect(ended.stderr).not.toContain("bug in pgark");
      expect((await storedFiles()).filter(isTemporary)).toEqual([]);
      await archiving.cluster.start();
      expect(await listedBackups(archiving)).toEqual(before);
      expectDone(await archiving.run(["backup", "--fast"]));
    }
  });
});

function isTemporary(file: string): boolean {
  return /\.tmp\b|tmp-|\/\.tmp\//.test(file);
}
