import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { generateKeyPair } from "../../../src/repository/keys.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  listedBackups,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

describe("an encrypted repository without the right identity", () => {
  let archiving: ArchivingCluster;
  let directory: string;
  let destination: string;
  let segment: string;
  let wrongIdentity: string;

  beforeAll(async () => {
    ({ path: directory } = await temporaryDirectory("pgark-identities"));
    archiving = await startArchivingCluster({ directory, encrypted: true, walSegmentSizeMb: 1 });
    expectDone(await archiving.run(["backup", "--fast"]));
    segment = await archiveCurrentSegment(archiving.cluster);
    destination = join(directory, "RECOVERYXLOG");
    wrongIdentity = join(directory, "wrong.txt");
    await writeFile(wrongIdentity, `${(await generateKeyPair()).identity}\n`);
  });

  const wrongOnes = [
    { kind: "a wrong one", env: () => ({ PGARK_IDENTITY_FILE: wrongIdentity }) },
    { kind: "none", env: () => ({ PGARK_IDENTITY_FILE: undefined }) },
    { kind: "one whose file is missing", env: () => ({ PGARK_IDENTITY_FILE: join(directory, "missing.txt") }) },
    { kind: "the host's own key alone", env: () => ({ PGARK_IDENTITY_FILE: join(directory, "host-key.txt") }) },
  ] as const;

  test.each(wrongOnes)("with $kind: wal-fetch answers 200, on a standby 2, and hands out nothing", async ({ env }) => {
    const { cluster } = archiving;
    const standby = join(cluster.pgdata, "standby.signal");
    for (const exitCode of [200, 2]) {
      if (exitCode === 2) await writeFile(standby, "");
      const ended = await archiving.run(["wal-fetch", segment, destination], { cwd: cluster.pgdata, env: env() });
      await rm(standby, { force: true });
      expect(ended.exitCode, ended.stderr).toBe(exitCode);
      expect(ended.stderr).toContain("HINT: ");
      expect(ended.stderr).toMatch(/identity|key file/);
    }
    expect((await readdir(directory)).filter((name) => name.startsWith("RECOVERYXLOG"))).toEqual([]);
  });

  test.each(wrongOnes)("with $kind: restore refuses before it writes anything", async ({ env }) => {
    const pgdata = join(directory, "never");
    const ended = await archiving.run(["restore", pgdata], { env: env() });
    expect(ended.exitCode, ended.stderr).toBe(8);
    expect(ended.stderr).toContain("HINT: ");
    await expect(stat(pgdata)).rejects.toThrow("ENOENT");
  });

  test("a host that has neither identity nor host key archives, backs up, lists, shows and plans", async () => {
    const env = { PGARK_IDENTITY_FILE: undefined, PGARK_HOST_KEY_FILE: undefined, HOME: join(directory, "nobody") };
    const archived = await archiveCurrentSegment(archiving.cluster);
    const before = await listedBackups(archiving);
    expectDone(await archiving.run(["backup", "--fast"], { env }));
    expect(await listedBackups(archiving)).toHaveLength(before.length + 1);
    for (const args of [["list"], ["plan"], ["show", before[0] ?? ""]]) expectDone(await archiving.run(args, { env }));
    expectDone(await archiving.run(["wal-fetch", archived, destination], { cwd: archiving.cluster.pgdata }));
    expect((await stat(destination)).size).toBe(1 << 20);
  });

  test("a restore with the right one is not kept from it by what went before", async () => {
    const pgdata = join(directory, "right");
    expectDone(await archiving.run(["restore", pgdata]));
    await expect(stat(join(pgdata, "global/pg_control"))).resolves.toBeDefined();
  });
});
