import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { fetchWal } from "../../../src/restore/fetch-wal.ts";
import { silentLog } from "../../../src/log.ts";
import { isPgarkError } from "../../../src/errors.ts";
import type { Repository } from "../../../src/repository/repository.ts";
import { Random } from "../../helpers/random.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  expectDone,
  keepSegments,
  sha256Of,
  startArchivingCluster,
  type ArchivingCluster,
  type KeptSegment,
} from "../helpers/archiving-cluster.ts";
import { flipBit, walKeyOf, whileDamaged } from "../helpers/damage.ts";
import { openAudited } from "../helpers/repository-audit.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Bits flipped by calling what wal-fetch calls; each takes a millisecond. */
const flips = 200;

describe.each([
  { kind: "an encrypted", encrypted: true },
  { kind: "an unencrypted", encrypted: false },
])("a damaged WAL object in $kind repository", ({ encrypted }) => {
  let archiving: ArchivingCluster;
  let repository: Repository;
  let segments: readonly [KeptSegment, ...KeptSegment[]];
  let destination: string;
  let object: string;

  beforeAll(async () => {
    const directory = (await temporaryDirectory("pgark-damaged-wal")).path;
    archiving = await startArchivingCluster({
      directory,
      encrypted,
      walSegmentSizeMb: 1,
      config: { archive_command: "false" },
    });
    segments = await keepSegments(archiving.cluster, join(directory, "kept"), 2);
    for (const { path } of segments)
      expectDone(await archiving.run(["wal-push", path], { cwd: archiving.cluster.pgdata }));
    repository = await openAudited(archiving.repository, archiving.identityFile);
    await mkdir(join(directory, "out"));
    destination = join(directory, "out/RECOVERYXLOG");
    object = join(archiving.repository, await walKeyOf(repository, segments[0].name));
  });

  /** wal-fetch in a data directory that is in archive recovery, and in one of a standby. */
  async function expectRefused(problem: RegExp, name = segments[0].name): Promise<void> {
    const { cluster } = archiving;
    const standby = join(cluster.pgdata, "standby.signal");
    for (const [exitCode, prepare] of [
      [200, () => rm(standby, { force: true })],
      [2, () => writeFile(standby, "")],
    ] as const) {
      await prepare();
      const ended = await archiving.run(["wal-fetch", name, destination], { cwd: cluster.pgdata });
      expect(ended.exitCode, ended.stderr).toBe(exitCode);
      expect(ended.stderr).toMatch(problem);
      expect(ended.stderr).toContain(name);
      expect(ended.stderr).toContain("HINT: ");
      expect(ended.stderr).not.toContain("bug in pgark");
    }
    await rm(standby);
    expect(await readdir(join(destination, ".."))).toEqual([]);
  }

  test("is never handed out, wherever in it a bit is flipped", async () => {
    const [segment] = segments;
    const identity = (await repository.identities())[0];
    if (identity === undefined) throw new Error("the repository knows no life of the cluster");
    const good = await readFile(object);
    const random = new Random(1);
    const ends = Array.from({ length: 250 }, (_, index) => index);
    const positions = [
      ...ends,
      ...ends.map((index) => good.length - 1 - index),
      ...Array.from({ length: flips }, () => random.below(good.length)),
    ];
    const undetected: number[] = [];
    for (const position of positions) {
      await writeFile(object, flipBit(position, random.below(8))(Buffer.from(good)));
      const options = { name: segment.name, destination, identity, partial: false, log: silentLog };
      const outcome = await fetchWal(repository, options).catch((error: unknown) => error);
      const isRefused = isPgarkError(outcome, "corrupt", "no-identity");
      expect(outcome === "delivered" || isRefused, `position ${position}: ${String(outcome)}`).toBe(true);
      const handedOut = await readFile(destination).then(sha256Of, () => undefined);
      expect(handedOut).toBe(isRefused ? undefined : segment.sha256);
      if (!isRefused) undetected.push(position);
      await rm(destination, { force: true });
      expect(await readdir(join(destination, ".."))).toEqual([]);
    }
    await writeFile(object, good);
    // Unencrypted, a few bits mean nothing: the writer and the time in the head, padding in a zstd frame.
    expect(undetected.length).toBeLessThanOrEqual(encrypted ? 0 : positions.length / 10);
  });

  test("makes wal-fetch answer 200, on a standby 2, and name the object", async () => {
    const { length } = await readFile(object);
    const positions = [3, 40, 100, Math.floor(length / 2), length - 3];
    for (const position of positions) {
      await whileDamaged(object, flipBit(position, 1), () => expectRefused(/^pgark: fetch main\/17-\d+\/wal\//m));
    }
  });

  test("cut short, emptied or followed by other bytes is refused as well", async () => {
    const { length } = await readFile(object);
    for (const size of [0, 1, 100, 1000, length - 100_000, length - 1]) {
      await whileDamaged(
        object,
        (bytes) => bytes.subarray(0, size),
        () => expectRefused(/^pgark: fetch main\//m),
      );
    }
    await whileDamaged(
      object,
      (bytes) => Buffer.concat([bytes, Buffer.from("more")]),
      () => expectRefused(/^pgark: fetch main\//m),
    );
    await whileDamaged(
      object,
      (bytes) => Buffer.concat([bytes, bytes]),
      () => expectRefused(/^pgark: fetch main\//m),
    );
  });

  test("that is another segment's, or of another cluster, is refused by its header", async () => {
    const other = join(archiving.repository, await walKeyOf(repository, segments[1]?.name ?? ""));
    const bytes = await readFile(other);
    await whileDamaged(
      object,
      () => bytes,
      () => expectRefused(/page address|belongs|is not/),
    );
    await whileDamaged(
      object,
      () => Buffer.from("foreign"),
      () => expectRefused(/^pgark: /m),
    );
  });

  test("that cannot be read is never taken for an absent one", async () => {
    await chmod(object, 0);
    try {
      await expectRefused(/EACCES/);
    } finally {
      await chmod(object, 0o640);
    }
  });

  test("does no harm once it is whole again", async () => {
    expectDone(await archiving.run(["wal-fetch", segments[0].name, destination], { cwd: archiving.cluster.pgdata }));
    expect(sha256Of(await readFile(destination))).toBe(segments[0].sha256);
  });
});
