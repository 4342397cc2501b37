import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Repository } from "../../../src/repository/repository.ts";
import { until } from "../../helpers/processes.ts";
import { Random } from "../../helpers/random.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { clientProgram, type Tool } from "../../helpers/tools.ts";
import {
  archiveCurrentSegment,
  expectDone,
  keepSegments,
  listedBackups,
  openRestored,
  sha256Of,
  startArchivingCluster,
  type ArchivingCluster,
  type KeptSegment,
} from "../helpers/archiving-cluster.ts";
import { walKeyOf } from "../helpers/damage.ts";
import { killsOf, RandomKiller, type KillTally } from "../helpers/random-kills.ts";
import { completeBackups, openAllWal, openAudited, openOneWal } from "../helpers/repository-audit.ts";

const seed = Number(process.env["PGARK_TEST_SEED"] ?? 1);
/** All kills of a suite together; the default takes about a minute. */
const timeout = 60_000 + killsOf(1) * 6_000;

describeWith(["pg-tools-18"], `a command that is killed (SIGKILL) at a random moment (seed ${seed})`, () => {
  let archiving: ArchivingCluster;
  let repository: Repository;
  let directory: string;
  let segments: readonly [KeptSegment, ...KeptSegment[]];
  let verifyBackup: Tool;
  const tallies = new Map<string, KillTally>();

  beforeAll(async () => {
    directory = (await temporaryDirectory("pgark-kills")).path;
    // PostgreSQL 18: pg_verifybackup reads the control file of its own major only.
    archiving = await startArchivingCluster({
      directory,
      major: 18,
      encrypted: true,
      config: { archive_command: "false" },
    });
    await archiving.cluster.query("create table rows as select i, md5(i::text) from generate_series(1, 100000) i");
    segments = await keepSegments(archiving.cluster, join(directory, "kept"), 4);
    await archiving.cluster.configure({ archive_command: `"${archiving.pgark.program}" wal-push %p` });
    await archiveCurrentSegment(archiving.cluster);
    repository = await openAudited(archiving.repository, archiving.identityFile);
    verifyBackup = await clientProgram("pg_verifybackup");
  }, 120_000);

  afterAll(() => {
    const killed = [...tallies].map(([name, { killed: count, late }]) => `${name} ${count} (${late} had ended)`);
    console.log(`kills: ${killed.join(", ")}`);
  });

  function killer(name: string): RandomKiller {
    const made = new RandomKiller(new Random(seed));
    tallies.set(name, made.tally);
    return made;
  }

  test(
    "wal-push: an exit code of 0 means that the segment is there, and no half one ever is",
    { timeout },
    async () => {
      const kills = killer("wal-push");
      const random = new Random(seed + 1);
      const options = { env: archiving.env, cwd: archiving.cluster.pgdata };
      const push = (segment: KeptSegment): readonly string[] => ["wal-push", segment.path];
      const [first] = segments;
      await repository.store.delete([await walKeyOf(repository, first.name)]);
      expect(await kills.measure(archiving.pgark.program, push(first), options)).toMatchObject({ exitCode: 0 });
      for (let left = killsOf(0.4); left > 0; left--) {
        const segment = segments[random.below(segments.length)] ?? first;
        const key = await walKeyOf(repository, segment.name);
        await repository.store.delete([key]);
        const ended = await kills.kill(archiving.pgark.program, push(segment), options);
        const there = await openAllWal(repository);
        for (const { name, sha256 } of segments) {
          expect(name === segment.name ? sha256 : there.get(name)).toBe(sha256);
        }
        expect(ended.exitCode === 0 ? [segment.sha256] : [segment.sha256, undefined]).toContain(
          there.get(segment.name),
        );
        expectDone(await archiving.run(push(segment), { cwd: archiving.cluster.pgdata }));
        expect(await openOneWal(repository, segment.name)).toBe(segment.sha256);
      }
    },
  );

  test(
    "wal-fetch: what stands at the destination is whole, and nobody is told that the archive ends",
    { timeout },
    async () => {
      const kills = killer("wal-fetch");
      const [segment] = segments;
      const destination = join(directory, "RECOVERYXLOG");
      const args = ["wal-fetch", segment.name, destination];
      const options = { env: archiving.env, cwd: archiving.cluster.pgdata };
      expect(await kills.measure(archiving.pgark.program, args, options)).toMatchObject({ exitCode: 0 });
      for (let left = killsOf(0.25); left > 0; left--) {
        await rm(destination, { force: true });
        const ended = await kills.kill(archiving.pgark.program, args, options);
        expect([0, 200, null], ended.stderr).toContain(ended.exitCode);
        const there = await readFile(destination).then(sha256Of, () => undefined);
        expect(ended.exitCode === 0 ? [segment.sha256] : [segment.sha256, undefined]).toContain(there);
      }
      expectDone(await archiving.run(args, { cwd: archiving.cluster.pgdata }));
      expect(sha256Of(await readFile(destination))).toBe(segment.sha256);
    },
  );

  test.each(["local", "remote"])("a %s backup is listed complete or not at all", { timeout }, async (method) => {
    const kills = killer(`${method} backup`);
    const args = ["backup", "--fast", ...(method === "remote" ? ["--remote"] : [])];
    const options = { env: archiving.serverEnv };
    expect(await kills.measure(archiving.pgark.program, args, options)).toMatchObject({ exitCode: 0 });
    for (let left = killsOf(0.12); left > 0; left--) {
      const before = new Set(await completeBackups(repository, new Set()));
      const ended = await kills.kill(archiving.pgark.program, args, options);
      const after = await completeBackups(repository, before);
      expect(ended.exitCode === 0 ? [1] : [0, 1]).toContain(after.length - before.size);
      await untilNoBackupRuns();
      expectDone(await archiving.run(args));
      expect(await completeBackups(repository, new Set(after))).toHaveLength(after.length + 1);
    }
    expect(await listedBackups(archiving)).toEqual(await completeBackups(repository, new Set()));
    expect(await openAllWal(repository)).not.toHaveLength(0);
  });

  test(
    "restore: the directory cannot start or is whole, and the next restore into it succeeds",
    { timeout },
    async () => {
      const kills = killer("restore");
      const pgdata = join(directory, "restored");
      const args = ["restore", pgdata, "--action", "promote"];
      const options = { env: archiving.env };
      expectDone(await archiving.run(["backup", "--fast"]));
      const measured = await kills.measure(archiving.pgark.program, args, options);
      expect(measured, measured.stderr).toMatchObject({ exitCode: 0 });
      await rm(pgdata, { recursive: true });
      for (let left = killsOf(0.15); left > 0; left--) {
        await kills.kill(archiving.pgark.program, args, options);
        if (await exists(join(pgdata, "global/pg_control"))) await proveRestored(pgdata);
        if ((await exists(join(pgdata, "pgark.restoring"))) || !(await exists(join(pgdata, "global/pg_control")))) {
          expectDone(await archiving.run(args));
        }
        await proveRestored(pgdata);
        if (left > 1) await rm(pgdata, { recursive: true });
      }
      await using server = await openRestored(archiving, pgdata);
      await server.start();
      expect(await server.query("select count(*)::int as rows from rows")).toEqual([{ rows: 100000 }]);
    },
  );

  test("init: the next one finishes what it began", { timeout }, async () => {
    const kills = killer("init");
    const args = ["init", "--encrypt", "--pgdata", archiving.cluster.pgdata];
    const fresh = (name: string): Record<string, string> => ({
      ...archiving.env,
      PGARK_REPOSITORY: `file://${directory}/${name}/repository`,
      PGARK_HOST_KEY_FILE: join(directory, name, "host-key.txt"),
      PGARK_IDENTITY_FILE: join(directory, name, "identity.txt"),
    });
    const measured = await kills.measure(archiving.pgark.program, args, { env: fresh("init") });
    expect(measured, measured.stderr).toMatchObject({ exitCode: 0 });
    for (let left = killsOf(0.08); left > 0; left--) {
      const env = fresh(`init-${left}`);
      await kills.kill(archiving.pgark.program, args, { env });
      expectDone(await archiving.run(args, { env: { ...env, PGARK_DBNAME: undefined } }));
      const [segment] = segments;
      expectDone(await archiving.run(["wal-push", segment.path], { env, cwd: archiving.cluster.pgdata }));
      const opened = await openAudited(join(directory, `init-${left}`, "repository"), env["PGARK_IDENTITY_FILE"]);
      expect(await openAllWal(opened)).toEqual(new Map([[segment.name, segment.sha256]]));
    }
  });

  test("the server that was backed up and archived through all of it is well, and has no backup under way", async () => {
    await untilNoBackupRuns();
    const name = await archiveCurrentSegment(archiving.cluster);
    expect((await openAllWal(repository)).has(name)).toBe(true);
    expect(await archiving.cluster.query("select count(*)::int as rows from rows")).toEqual([{ rows: 100000 }]);
    // That a client was lost is FATAL for its session; for the server, only these would be.
    expect(await archiving.cluster.log()).not.toMatch(/PANIC|server process .* was terminated|invalid page/);
  });

  async function untilNoBackupRuns(): Promise<void> {
    await until(async () => {
      const others = await archiving.cluster.query(
        `select pid from pg_stat_activity where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid()
         union all select pid from pg_stat_progress_basebackup`,
      );
      return others.length === 0;
    }, "the sessions of a killed backup to end");
  }

  async function proveRestored(pgdata: string): Promise<void> {
    // Those of pgark's own that PostgreSQL's program does not know.
    await verifyBackup.run(["--no-parse-wal", "--ignore", "pgark.restoring", pgdata]);
  }
});

function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
