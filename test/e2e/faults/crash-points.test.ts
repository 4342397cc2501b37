import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { readClusterRecord } from "../../../src/repository/cluster-record.ts";
import { parseIdentityFile, recipientOf } from "../../../src/repository/keys.ts";
import { walKey } from "../../../src/repository/layout.ts";
import { FileStore } from "../../../src/storage/drivers/file/file-store.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  keepSegments,
  openRestored,
  sha256Of,
  startArchivingCluster,
  type ArchivingCluster,
  type KeptSegment,
} from "../helpers/archiving-cluster.ts";
import { crashAt, type CrashRun } from "../helpers/crash-points.ts";
import { openAllWal, openAudited } from "../helpers/repository-audit.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Every change that a command makes to a file system is a point at which it is killed, once each; the next run must work. */
describe("a command that is killed at each of its changes to the file system in turn", () => {
  let archiving: ArchivingCluster;
  let segment: KeptSegment;
  let directory: string;

  beforeAll(async () => {
    directory = (await temporaryDirectory("pgark-crash-points")).path;
    archiving = await startArchivingCluster({ directory, encrypted: true, walSegmentSizeMb: 1 });
    await archiving.cluster.configure({ archive_command: "false" });
    [segment] = await keepSegments(archiving.cluster, join(directory, "kept"), 1);
    await archiving.cluster.configure({ archive_command: `"${archiving.pgark.program}" wal-push %p` });
    await archiveCurrentSegment(archiving.cluster);
  });

  /** Crashes at point after point, `check`ing after each, until a run comes to its end. */
  async function everyPoint(
    args: readonly string[],
    options: { readonly env: Readonly<Record<string, string>>; readonly cwd?: string },
    check: (run: CrashRun, at: number) => Promise<void>,
  ): Promise<number> {
    for (let at = 1; at < 200; at++) {
      const run = await crashAt(directory, at, archiving.pgark.program, args, options);
      if (run.points !== undefined) {
        expectDone(run);
        return at - 1;
      }
      expect(run).not.toMatchObject({ exitCode: 0 });
      await check(run, at);
    }
    throw new Error("200 points are more than was expected");
  }

  test("leaves no half WAL object after wal-push, and the next push succeeds", async () => {
    const repository = await openAudited(archiving.repository, archiving.identityFile);
    const [identity] = await repository.identities();
    if (identity === undefined) throw new Error("the repository knows no life of the cluster");
    const key = walKey("main", identity, segment.name, true);
    const forget = (): Promise<void> => repository.store.delete([key]);
    const options = { env: archiving.env, cwd: archiving.cluster.pgdata };
    await forget();
    const points = await everyPoint(["wal-push", segment.path], options, async (run) => {
      expect(run.exitCode).toBe(1);
      const before = (await openAllWal(repository)).get(segment.name);
      expect([undefined, segment.sha256]).toContain(before);
      expectDone(await archiving.run(["wal-push", segment.path], { cwd: archiving.cluster.pgdata }));
      expect((await openAllWal(repository)).get(segment.name)).toBe(segment.sha256);
      await forget();
    });
    expect(points).toBeGreaterThan(5);
  });

  test("leaves no half destination after wal-fetch, and never says that there is no such WAL", async () => {
    expectDone(await archiving.run(["wal-push", segment.path], { cwd: archiving.cluster.pgdata }));
    const destination = join(directory, "RECOVERYXLOG");
    const read = (): Promise<string | undefined> => readFile(destination).then(sha256Of, () => undefined);
    const args = ["wal-fetch", segment.name, destination];
    const points = await everyPoint(args, { env: archiving.env, cwd: archiving.cluster.pgdata }, async (run) => {
      expect(run.exitCode).toBe(200);
      expect([undefined, segment.sha256]).toContain(await read());
      await rm(destination, { force: true });
    });
    expect(points).toBeGreaterThanOrEqual(2);
    expect(await read()).toBe(segment.sha256);
  });

  test(
    "leaves nothing behind init that the next init cannot finish, with keys that fit",
    { timeout: 300_000 },
    async () => {
      let root = "";
      const fresh = async (at: number): Promise<Record<string, string>> => {
        root = join(directory, `init-${at}`);
        await mkdir(root);
        return {
          ...archiving.env,
          PGARK_REPOSITORY: `file://${root}/repository`,
          PGARK_HOST_KEY_FILE: join(root, "keys/host-key.txt"),
          PGARK_IDENTITY_FILE: join(root, "keys/identity.txt"),
        };
      };
      const args = ["init", "--encrypt", "--pgdata", archiving.cluster.pgdata];
      let points = 0;
      for (let ended = false; !ended; points++) {
        const env = await fresh(points + 1);
        const run = await crashAt(directory, points + 1, archiving.pgark.program, args, { env });
        ended = run.points !== undefined;
        if (ended) expectDone(run);
        expectDone(await archiving.run(args, { env: { ...env, PGARK_DBNAME: undefined } }));
        const record = await readClusterRecord(new FileStore(`${root}/repository`, { create: true }), "main", {});
        expect(record.recipients).toEqual(await recipientsIn(join(root, "keys/identity.txt")));
        expect(record.hostRecipients).toEqual(await recipientsIn(join(root, "keys/host-key.txt")));
      }
      expect(points).toBeGreaterThan(15);
    },
  );

  test(
    "leaves a directory behind restore that cannot start, or is whole, and that the next restore takes",
    {
      timeout: 300_000,
    },
    async () => {
      expectDone(await archiving.run(["backup", "--fast"]));
      await archiveCurrentSegment(archiving.cluster);
      const pgdata = join(directory, "restored");
      const args = ["restore", pgdata, "--action", "promote"];
      const whole = await crashAt(directory, 0, archiving.pgark.program, args, { env: archiving.env });
      const points = whole.points ?? 0;
      expect(points).toBeGreaterThan(20);
      await rm(pgdata, { recursive: true });
      // The first ones and the last ones; in between lies one directory like another.
      const chosen = Array.from({ length: 3 }, (_, index) => [index + 1, points - index]).flat();
      for (const at of chosen) {
        const run = await crashAt(directory, at, archiving.pgark.program, args, { env: archiving.env });
        expect(run.exitCode).toBeNull();
        const startable = await stat(join(pgdata, "global/pg_control")).then(
          () => true,
          () => false,
        );
        const signal = await readFile(join(pgdata, "recovery.signal"), "utf8").catch(() => "missing");
        expect(startable ? signal : "").toBe("");
        // The next one may be killed as well, while it takes away what is there.
        await crashAt(directory, 2, archiving.pgark.program, args, { env: archiving.env });
        const left = await readdir(pgdata).catch(() => ["nothing"]);
        const next = await archiving.run(args);
        expect(next, `killed at ${at} of ${points}, over ${left.join(" ")}: ${next.stderr}`).toMatchObject({
          exitCode: 0,
        });
        await expect(stat(join(pgdata, "pgark.restoring"))).rejects.toThrow("ENOENT");
        if (at !== chosen.at(-1)) await rm(pgdata, { recursive: true });
      }
      await using server = await openRestored(archiving, pgdata);
      await server.start();
      expect(await server.query("select count(*)::int as rows from filler")).toEqual([{ rows: 4000 }]);
    },
  );
});

async function recipientsIn(file: string): Promise<readonly string[]> {
  return Promise.all(parseIdentityFile(await readFile(file, "utf8")).map(recipientOf));
}
