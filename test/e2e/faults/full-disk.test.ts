import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { SharedMemory } from "../../../src/repository/worker/shared-memory.ts";
import { FileStore } from "../../../src/storage/drivers/file/file-store.ts";
import type { PgarkResult } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  keepSegments,
  listedBackups,
  openRestored,
  startArchivingCluster,
  type ArchivingCluster,
  type KeptSegment,
} from "../helpers/archiving-cluster.ts";
import { openAllWal, openAudited } from "../helpers/repository-audit.ts";
import { mountSmallFileSystem, type SmallFileSystem } from "../helpers/small-file-system.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const MB = 1 << 20;

describeWith(["mounts"], "a file system that is full or read-only", () => {
  let archiving: ArchivingCluster;
  let disk: SmallFileSystem;
  let directory: string;
  let segment: KeptSegment;

  beforeAll(async () => {
    directory = (await temporaryDirectory("pgark-full-disk")).path;
    disk = await mountSmallFileSystem(directory, 64 * MB);
    archiving = await startArchivingCluster({
      directory,
      walSegmentSizeMb: 1,
      encrypted: true,
      repository: join(disk.path, "repository"),
      config: { archive_command: "false" },
    });
    await archiving.cluster.query("create table rows as select i, md5(i::text) from generate_series(1, 20000) i");
    [segment] = await keepSegments(archiving.cluster, join(directory, "kept"), 1);
    await archiving.cluster.configure({ archive_command: `"${archiving.pgark.program}" wal-push %p` });
    await archiveCurrentSegment(archiving.cluster);
  });

  async function unfinishedFiles(): Promise<readonly string[]> {
    const all = await readdir(archiving.repository, { recursive: true, withFileTypes: true });
    return all
      .filter((entry) => entry.isFile() && /tmp/.test(join(entry.parentPath, entry.name).slice(disk.path.length)))
      .map(({ name }) => name);
  }

  function expectFull(ended: PgarkResult, exitCode = 1): void {
    expect(ended.exitCode, ended.stderr).toBe(exitCode);
    expect(ended.stderr).toContain("ENOSPC");
    expect(ended.stderr).toContain("HINT: the file system is full: free some space");
    expect(ended.stderr).not.toContain("bug in pgark");
  }

  test("wal-push fails with a hint, leaves nothing, and succeeds when there is room", async () => {
    const repository = await openAudited(archiving.repository, archiving.identityFile);
    for await (const { key } of repository.store.list(""))
      if (key.includes(segment.name)) await repository.store.delete([key]);
    for (const left of [0, 8192, 65536]) {
      await disk.leaveFree(left);
      expectFull(await archiving.run(["wal-push", segment.path], { cwd: archiving.cluster.pgdata }));
      expect(await unfinishedFiles()).toEqual([]);
      expect((await openAllWal(repository)).has(segment.name)).toBe(false);
    }
    await disk.leaveFree();
    expectDone(await archiving.run(["wal-push", segment.path], { cwd: archiving.cluster.pgdata }));
    expect((await openAllWal(repository)).get(segment.name)).toBe(segment.sha256);
  });

  test("what is written past the page cache fails alike, leaves nothing, and succeeds when there is room", async () => {
    const store = new FileStore(archiving.repository, { create: true });
    const body = new SharedMemory().take(4 * MB).fill(7);
    for (const left of [0, 65536, 2 * MB]) {
      await disk.leaveFree(left);
      await expect(store.put("direct", body, { ifAbsent: true })).rejects.toMatchObject({
        code: "io",
        hint: expect.stringContaining("the file system is full"),
      });
      expect(await unfinishedFiles()).toEqual([]);
      await expect(store.head("direct")).rejects.toMatchObject({ code: "not-found" });
    }
    await disk.leaveFree();
    await store.put("direct", body, { ifAbsent: true });
    expect(Buffer.from(await store.get("direct")).equals(body)).toBe(true);
    await store.delete(["direct"]);
  });

  test.each([{ method: "local" }, { method: "remote" }])(
    "a $method backup fails with a hint, lists nothing, and succeeds when there is room",
    async ({ method }) => {
      const args = ["backup", "--fast", ...(method === "remote" ? ["--remote"] : [])];
      const before = await listedBackups(archiving);
      await disk.leaveFree(2.5 * MB);
      expectFull(await archiving.run(args));
      expect(await unfinishedFiles()).toEqual([]);
      expect(await listedBackups(archiving)).toEqual(before);
      expect(await archiving.cluster.query("select 1 from pg_stat_progress_basebackup")).toEqual([]);
      await disk.leaveFree();
      expectDone(await archiving.run(args));
      expect(await listedBackups(archiving)).toHaveLength(before.length + 1);
    },
  );

  test("the archiver counts failures while the disk is full, and loses nothing when there is room again", async () => {
    const { cluster } = archiving;
    const failures = async (): Promise<number> => {
      const [row] = await cluster.query<{ failed: number }>("select failed_count::int as failed from pg_stat_archiver");
      return row?.failed ?? 0;
    };
    const before = await failures();
    await disk.leaveFree(0);
    await cluster.query("create table written_while_full as select i from generate_series(1, 50000) i");
    await cluster.query("select pg_switch_wal()");
    await until(async () => (await failures()) > before, "the archiver to fail");
    await disk.leaveFree();
    const last = await archiveCurrentSegment(cluster);
    const there = [...(await openAllWal(await openAudited(archiving.repository, archiving.identityFile))).keys()];
    const numbers = there
      .filter((name) => /^[0-9A-F]{24}$/.test(name))
      .map((name) => Number.parseInt(name.slice(16), 16));
    expect(Math.max(...numbers)).toBe(Number.parseInt(last.slice(16), 16));
    expect(new Set(numbers).size).toBe(Math.max(...numbers) - Math.min(...numbers) + 1);
    expect(await cluster.log()).toContain("HINT: the file system is full");
  });

  test("restore fails with a hint, leaves what cannot start, and succeeds when there is room", async () => {
    await using target = await mountSmallFileSystem(join(directory, "target"), 96 * MB);
    const pgdata = join(target.path, "pgdata");
    const args = ["restore", pgdata, "--action", "promote"];
    await target.leaveFree(4 * MB);
    const refused = await archiving.run(args);
    expect(refused.exitCode, refused.stderr).toBe(4);
    expect(refused.stderr).toContain("bytes left and the backup needs");
    await expect(stat(pgdata).then(() => readdir(pgdata))).resolves.toEqual([]);
    // It was large enough when it began: a file of its own fills the disk meanwhile, as it were.
    const backup = await archiving.json(["show", (await listedBackups(archiving)).at(-1) ?? ""]);
    const { bytes } = backup["backup"] as { bytes: number };
    await target.leaveFree(bytes + 4096);
    expectFull(await archiving.run(args));
    await expect(stat(join(pgdata, "global/pg_control"))).rejects.toThrow("ENOENT");
    await target.leaveFree();
    expectDone(await archiving.run(args));
    await expect(stat(join(pgdata, "global/pg_control"))).resolves.toBeDefined();
  });

  test("wal-fetch to a full disk stops recovery and leaves no half file", async () => {
    await using target = await mountSmallFileSystem(join(directory, "fetch-target"), MB);
    const destination = join(target.path, "RECOVERYXLOG");
    await target.leaveFree(65536);
    expectFull(await archiving.run(["wal-fetch", segment.name, destination], { cwd: archiving.cluster.pgdata }), 200);
    expect(await readdir(target.path)).toEqual(["ballast"]);
  });

  test("a read-only repository is said to be one, by every command that writes, and can still be restored from", async () => {
    await disk.setReadOnly(true);
    try {
      for (const args of [
        ["wal-push", segment.path],
        ["backup", "--fast"],
        ["init", "--cluster", "other", "--pgdata", archiving.cluster.pgdata],
      ]) {
        const env = args[0] === "init" ? { PGARK_DBNAME: undefined } : {};
        const name =
          args[0] === "wal-push"
            ? (await keepSegments(archiving.cluster, join(directory, "kept-too"), 1))[0].path
            : undefined;
        const ended = await archiving.run(name === undefined ? args : ["wal-push", name], {
          cwd: archiving.cluster.pgdata,
          env,
        });
        expect(ended.exitCode, ended.stderr).toBe(1);
        expect(ended.stderr).toContain("EROFS");
        expect(ended.stderr).toContain("HINT: the file system is read-only: remount it or choose another place");
      }
      expectDone(await archiving.run(["restore", join(directory, "from-read-only"), "--action", "promote"]));
    } finally {
      await disk.setReadOnly(false);
    }
    await using server = await openRestored(archiving, join(directory, "from-read-only"));
    await server.start();
    expect(await server.query("select count(*)::int as rows from rows")).toEqual([{ rows: 20000 }]);
    await archiveCurrentSegment(archiving.cluster);
  });
});
