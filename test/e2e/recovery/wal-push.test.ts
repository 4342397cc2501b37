import { copyFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { createCluster } from "../../helpers/cluster.ts";
import type { PgarkResult } from "../../helpers/pgark.ts";
import { archiveCurrentSegment, expectDone, type KeptSegment, keepSegments } from "../helpers/archiving-cluster.ts";
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
let kept: KeptSegment;
let push: (file: string) => Promise<PgarkResult>;

beforeAll(async () => {
  archive = await startRecoveryArchive();
  await archive.cluster.query("create table t (id int)");
  await insertRows(archive.cluster, 1);
  await archive.backup();
  await archiveCurrentSegment(archive.cluster);
  [kept] = await keepSegments(archive.cluster, join(archive.directory, "kept"), 1);
  await archiveCurrentSegment(archive.cluster);
  push = (file) => archive.run(["wal-push", file], { cwd: archive.cluster.pgdata });
}, 120_000);

describe("wal-push, on files of a real server", () => {
  test("takes the same segment again, and leaves what is there as it is", async () => {
    const before = await stat(archive.walObject(kept.name));
    expect(await push(kept.path)).toMatchObject({ exitCode: 0, stderr: "" });
    const after = await stat(archive.walObject(kept.name));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
  });

  test("refuses other content under a name that is taken, each time, and says who is at odds", async () => {
    const other = join(archive.directory, "other", kept.name);
    await mkdir(join(archive.directory, "other"), { recursive: true });
    const bytes = await readFile(kept.path);
    bytes.write("another history", bytes.length - 4000);
    await writeFile(other, bytes);
    const before = await readFile(archive.walObject(kept.name));
    for (let attempt = 1; attempt <= 2; attempt++) {
      const refused = await push(other);
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toContain("nothing was overwritten");
    }
    expect(before.equals(await readFile(archive.walObject(kept.name)))).toBe(true);
  });

  test("refuses what is no WAL of this cluster, with exit code 1 and a hint", async () => {
    const files = await archive.walFiles();
    const bytes = await readFile(kept.path);
    const directory = join(archive.directory, "bad");
    await mkdir(directory);
    await using stranger = await createCluster({ directory, major: 17, name: "stranger" });
    await stranger.start();
    const [strange] = await keepSegments(stranger, join(directory, "kept"), 1);
    const made = async (name: string, content: Uint8Array): Promise<string> => {
      await writeFile(join(directory, name), content);
      return join(directory, name);
    };
    const cases: readonly (readonly [string, RegExp])[] = [
      [await made("notes.txt", bytes), /not the name of a WAL file/],
      [await made(`${kept.name}.bak`, bytes), /not the name of a WAL file/],
      [await made("0000000100000000000000AA", bytes.subarray(0, bytes.length / 2)), /size|bytes/],
      [await made("0000000100000000000000AB", bytes), /0000000100000000000000AB/],
      [await made("0000000100000000000000AC", new Uint8Array(bytes.length)), /0000000100000000000000AC/],
      [strange.path, /17-\d+/],
      [join(directory, "0000000100000000000000AD"), /no such file/i],
    ];
    for (const [file, reason] of cases) {
      const refused = await push(file);
      expect([file, refused.exitCode]).toEqual([file, 1]);
      expect(refused.stderr).toMatch(reason);
      expect(refused.stderr).toContain("HINT");
    }
    expect(await archive.walFiles()).toEqual(files);
  });

  test("takes .history, .backup and .partial files, and each of them again", async () => {
    const history = join(archive.directory, "000000FE.history");
    await writeFile(history, "1\t0/1000000\tno recovery target specified\n");
    expectDone(await push(history));
    expectDone(await push(history));
    expect(await archive.walFiles()).toContain("000000FE.history");
    await rm(archive.walObject("000000FE.history")); // or it would be the newest timeline
    const partial = join(archive.directory, "0000000100000000000000EE.partial");
    await copyFile(kept.path, partial);
    // A .partial is checked as a segment is: under another segment's name it is refused, under its own it is taken.
    expect(await push(partial)).toMatchObject({ exitCode: 1 });
    const own = join(archive.directory, `${kept.name}.partial`);
    await copyFile(kept.path, own);
    expectDone(await push(own));
    expect(await archive.walFiles()).toContain(`${kept.name}.partial`);
    // The server itself has pushed the one that its backup made.
    expect((await archive.walFiles()).filter((file) => file.endsWith(".backup"))).toHaveLength(1);
  });
});

describe("after pg_upgrade", () => {
  test("WAL of the new life is refused until init was run again; then both lives are there, apart, and both restore", async () => {
    const env = archive.env;
    const archiveCommand = `"${archive.pgark.program}" wal-push %p`;
    await using upgraded = await createCluster({
      directory: join(archive.directory, "upgraded"),
      major: 18,
      env,
      config: { archive_mode: true, archive_command: archiveCommand },
    });
    await upgraded.start();
    await upgraded.query("create table t (id int)");
    await insertRows(upgraded, 18);
    const [first] = await keepSegments(upgraded, join(archive.directory, "kept18"), 1);
    const refused = await archive.run(["wal-push", first.path], { cwd: upgraded.pgdata });
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("pgark init");

    expectDone(await archive.run(["init", "--pgdata", upgraded.pgdata]));
    const label = await archive.backup(upgraded);
    await archiveCurrentSegment(upgraded);
    const { lives } = (await archive.json(["list"])) as {
      lives: readonly { readonly identity: string; readonly backups: readonly { readonly label: string }[] }[];
    };
    expect(lives.map(({ identity, backups }) => [identity.slice(0, 3), backups.length])).toEqual([
      ["17-", 1],
      ["18-", 1],
    ]);
    expect(lives[1]?.backups[0]?.label).toBe(label);

    const old = lives[0]?.identity ?? "";
    await using before = await archive.restore("before-upgrade", "--cluster-identity", old);
    await before.start();
    await untilPromoted(before);
    expect(await rowsOf(before)).toEqual([1]);
    expect(await archive.json(["plan"])).toMatchObject({ backup: { label, majorVersion: 18 } });
  });
});
