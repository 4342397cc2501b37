import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { openCluster } from "../../helpers/cluster.ts";
import type { PgarkResult } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  keepSegments,
  startArchivingCluster,
  type ArchivingCluster,
  type KeptSegment,
} from "../helpers/archiving-cluster.ts";
import { walKeyOf } from "../helpers/damage.ts";
import { openAllWal, openAudited } from "../helpers/repository-audit.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

describe.each([
  { kind: "an encrypted", encrypted: true },
  { kind: "an unencrypted", encrypted: false },
])("two writers of one WAL segment in $kind repository", ({ encrypted }) => {
  let archiving: ArchivingCluster;
  let directory: string;
  let segment: KeptSegment;
  let changed: string;

  beforeAll(async () => {
    ({ path: directory } = await temporaryDirectory("pgark-two-writers"));
    archiving = await startArchivingCluster({
      directory,
      encrypted,
      walSegmentSizeMb: 1,
      config: { archive_command: "false" },
    });
    [segment] = await keepSegments(archiving.cluster, join(directory, "kept"), 1);
    const bytes = await readFile(segment.path);
    bytes.fill(0x55, 500_000, 500_100);
    await mkdir(join(directory, "changed"));
    changed = join(directory, "changed", segment.name);
    await writeFile(changed, bytes);
  });

  const push = (path: string): Promise<PgarkResult> =>
    archiving.run(["wal-push", path], { cwd: archiving.cluster.pgdata });

  async function forget(): Promise<void> {
    const repository = await openAudited(archiving.repository, archiving.identityFile);
    await repository.store.delete([await walKeyOf(repository, segment.name)]);
  }

  test("at once, with the same content: both succeed", async () => {
    for (let round = 0; round < 5; round++) {
      await forget();
      const ended = await Promise.all([push(segment.path), push(segment.path), push(segment.path)]);
      expect(
        ended.map(({ exitCode }) => exitCode),
        ended.map(({ stderr }) => stderr).join(""),
      ).toEqual([0, 0, 0]);
    }
  });

  test("at once, with different content: one succeeds and the other is told of both", async () => {
    for (let round = 0; round < 5; round++) {
      await forget();
      const ended = await Promise.all([push(segment.path), push(changed)]);
      expect(ended.map(({ exitCode }) => exitCode).sort((a, b) => Number(a) - Number(b))).toEqual([0, 1]);
      const loser = ended.find(({ exitCode }) => exitCode === 1);
      expect(loser?.stderr).toContain(`the repository already holds a different ${segment.name}`);
      expect(loser?.stderr).toContain("HINT: two servers archive under one cluster name");
      const there = (await openAllWal(await openAudited(archiving.repository, archiving.identityFile))).get(
        segment.name,
      );
      expect(there === segment.sha256).toBe(ended[0].exitCode === 0);
    }
  });
});

describe("a clone that goes its own way and archives into its source's cluster", () => {
  test("is refused for ever, with both writers named, and overwrites nothing", async () => {
    const { path: directory } = await temporaryDirectory("pgark-clone");
    const archiving = await startArchivingCluster({ directory, walSegmentSizeMb: 1 });
    const { cluster } = archiving;
    await cluster.stop();
    await cp(cluster.pgdata, join(directory, "clone"), { recursive: true, mode: 0 });
    await cluster.start();
    await cluster.query("create table rows as select i, md5('source' || i) from generate_series(1, 20000) i");
    const last = await archiveCurrentSegment(cluster);
    const repository = await openAudited(archiving.repository, undefined);
    const before = await openAllWal(repository);

    await using clone = await openCluster({ major: 17, env: archiving.env }, join(directory, "clone"));
    await clone.start();
    await clone.query("create table rows as select i, md5('clone' || i) from generate_series(1, 20000) i");
    await clone.query("select pg_switch_wal()");
    type Archiver = { failed: number; wal: string | null };
    const archiver = async (): Promise<Archiver | undefined> =>
      (
        await clone.query<Archiver>("select failed_count::int as failed, last_failed_wal as wal from pg_stat_archiver")
      )[0];
    await until(async () => ((await archiver())?.failed ?? 0) >= 2, "the clone's archiver to fail twice");
    const failed = (await archiver())?.wal ?? "";
    expect(before.has(failed)).toBe(true);
    expect(failed <= last).toBe(true);
    const log = await clone.log();
    expect(log).toMatch(
      /already holds a different .*: \S+ wrote other content \(blake3 \w+…\) at .*; this one is from \S+ \(blake3/,
    );
    expect(log).toContain("archive command failed with exit code 1");
    for (const [name, sha256] of before) expect((await openAllWal(repository)).get(name)).toBe(sha256);

    // The source is not disturbed.
    const next = await archiveCurrentSegment(cluster);
    expect((await openAllWal(repository)).has(next)).toBe(true);
  });
});
