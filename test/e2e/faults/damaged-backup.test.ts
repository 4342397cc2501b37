import { copyFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { Random } from "../../helpers/random.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import type { PgarkResult } from "../../helpers/pgark.ts";
import {
  archiveCurrentSegment,
  expectDone,
  openRestored,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";
import { flipBit, whileDamaged } from "../helpers/damage.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

describe.each([
  { kind: "encrypted", encrypted: true },
  { kind: "unencrypted", encrypted: false },
])("a damaged $kind backup", ({ encrypted }) => {
  let archiving: ArchivingCluster;
  let directory: string;
  /** the folders of two backups, the older one first */
  let older: string;
  let newer: string;
  let attempts = 0;

  beforeAll(async () => {
    directory = (await temporaryDirectory("pgark-damaged-backup")).path;
    archiving = await startArchivingCluster({ directory, encrypted, walSegmentSizeMb: 1 });
    await archiving.cluster.query("create table rows as select i, md5(i::text) from generate_series(1, 10000) i");
    expectDone(await archiving.run(["backup", "--fast"]));
    await archiving.cluster.query("insert into rows select i, md5(i::text) from generate_series(10001, 20000) i");
    expectDone(await archiving.run(["backup", "--fast"]));
    await archiveCurrentSegment(archiving.cluster);
    const [life] = (await readdir(join(archiving.repository, "main"))).filter((name) => name.startsWith("17-"));
    const backups = join(archiving.repository, "main", life ?? "", "backups");
    const labels = (await readdir(backups)).sort();
    [older, newer] = [join(backups, labels[0] ?? ""), join(backups, labels[1] ?? "")];
  });

  async function packs(backup: string): Promise<readonly string[]> {
    return (await readdir(join(backup, "data"))).sort().map((name) => join(backup, "data", name));
  }

  async function manifest(backup: string): Promise<string> {
    return join(backup, encrypted ? "manifest.jsonl.zst.age" : "manifest.jsonl.zst");
  }

  /**
   * The newest backup cannot be restored: a clear error that names `object`, and nothing that could start. With 8 where a
   * recipient's stanza of an age header is damaged: it then looks like one for another key.
   */
  async function expectRefused(
    object: string,
    exitCodes: readonly number[] = encrypted ? [7, 8] : [7],
  ): Promise<PgarkResult> {
    const pgdata = join(directory, `refused-${attempts++}`);
    const ended = await archiving.run(["restore", pgdata, "--action", "promote"]);
    expect(exitCodes, `${ended.exitCode}: ${ended.stderr}`).toContain(ended.exitCode);
    expect(ended.stderr).toContain(object);
    expect(ended.stderr).toContain("HINT: ");
    expect(ended.stderr).not.toContain("bug in pgark");
    await expect(stat(join(pgdata, "global/pg_control"))).rejects.toThrow("ENOENT");
    await rm(pgdata, { recursive: true, force: true });
    return ended;
  }

  test("is not restored when a bit of a pack is flipped, wherever, and the pack is named", async () => {
    const random = new Random(2);
    const files = await packs(newer);
    for (let left = 4; left > 0; left--) {
      const file = files[random.below(files.length)] ?? "";
      const { size } = await stat(file);
      const position = left % 2 === 0 ? random.below(Math.min(size, 200)) : random.below(size);
      await whileDamaged(file, flipBit(position, random.below(8)), async () => {
        await expectRefused(file.slice(archiving.repository.length + 1));
      });
    }
  });

  test("is not restored when a pack is cut short, empty, missing, or another one", async () => {
    for (const file of (await packs(newer)).slice(0, 1)) {
      const name = file.slice(archiving.repository.length + 1);
      const { size } = await stat(file);
      for (const kept of [0, size >> 1, size - 1]) {
        await whileDamaged(
          file,
          (bytes) => bytes.subarray(0, kept),
          async () => void (await expectRefused(name)),
        );
      }
      const others = [...(await packs(older)), ...(await packs(newer))].filter((other) => other !== file);
      const strange = await readFile(others.at(-1) ?? "");
      await whileDamaged(
        file,
        () => strange,
        async () => void (await expectRefused(name)),
      );
      await copyFile(file, join(directory, "aside"));
      await rm(file);
      await expectRefused(name);
      await copyFile(join(directory, "aside"), file);
    }
  });

  test("is not restored when its manifest is damaged, cut short, missing, or another backup's", async () => {
    const file = await manifest(newer);
    const name = file.slice(archiving.repository.length + 1);
    const { size } = await stat(file);
    for (const position of [1, 150, size >> 1, size - 1]) {
      await whileDamaged(file, flipBit(position, 2), async () => void (await expectRefused(name)));
    }
    for (const kept of [0, 100, size - 1]) {
      await whileDamaged(
        file,
        (bytes) => bytes.subarray(0, kept),
        async () => void (await expectRefused(name)),
      );
    }
    const strange = await readFile(await manifest(older));
    await whileDamaged(
      file,
      () => strange,
      async () => void (await expectRefused(name)),
    );
    await copyFile(file, join(directory, "aside"));
    await rm(file);
    await expectRefused(name);
    await copyFile(join(directory, "aside"), file);
  });

  test("is passed over with a warning when its record is damaged, and the older one is restored", async () => {
    const file = join(newer, "backup.json");
    const name = file.slice(archiving.repository.length + 1);
    const other = await readFile(join(older, "backup.json"));
    const changes: readonly ((bytes: Buffer) => Uint8Array)[] = [
      (bytes) => bytes.subarray(0, bytes.length - 10),
      (bytes) => bytes.subarray(0, 0),
      flipBit(0, 0),
      // a digit of an LSN: JSON as good as before
      flipBit((await readFile(file)).indexOf('"stopLsn"') + 14, 0),
      () => other,
      () => Buffer.from("null"),
    ];
    for (const change of changes) {
      await whileDamaged(file, change, async () => {
        const ended = await archiving.run(["plan", "--json"]);
        expectDone(ended);
        expect(ended.stderr).toContain("passed over backup");
        expect(ended.stderr).toContain(name);
        const { backup } = JSON.parse(ended.stdout) as { backup: { label: string } };
        expect(older).toContain(backup.label);
      });
    }
  });

  test("is not touched, and nothing is pushed, while cluster.json is damaged", async () => {
    const file = join(archiving.repository, "main/cluster.json");
    const aside = join(directory, "out");
    await mkdir(aside, { recursive: true });
    for (const change of [flipBit(0, 0), (bytes: Buffer) => bytes.subarray(0, 40), () => Buffer.from("[]")]) {
      await whileDamaged(file, change, async () => {
        await expectRefused("main/cluster.json");
        const args = ["wal-fetch", "000000010000000000000001", join(aside, "RECOVERYXLOG")];
        const fetched = await archiving.run(args, { cwd: archiving.cluster.pgdata });
        expect(fetched.exitCode, fetched.stderr).toBe(200);
        expect(fetched.stderr).toContain("main/cluster.json");
        const backup = await archiving.run(["backup", "--fast"]);
        expect(backup.exitCode, backup.stderr).toBe(7);
      });
    }
    expect(await readdir(aside)).toEqual([]);
  });

  test("is restored with every row once it is whole again", async () => {
    const pgdata = join(directory, "whole");
    expectDone(await archiving.run(["restore", pgdata, "--action", "promote"]));
    await using server = await openRestored(archiving, pgdata);
    await server.start();
    expect(await server.query("select count(*)::int as rows from rows")).toEqual([{ rows: 20000 }]);
  });
});
