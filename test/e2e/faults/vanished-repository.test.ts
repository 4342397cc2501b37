import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import {
  archiveCurrentSegment,
  expectDone,
  openRestored,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";

// Several seconds each on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

describe("a repository that goes away, as an unmounted disk does", () => {
  let archiving: ArchivingCluster;
  let directory: string;
  let segment: string;

  beforeAll(async () => {
    ({ path: directory } = await temporaryDirectory("pgark-vanished"));
    archiving = await startArchivingCluster({ directory, walSegmentSizeMb: 1 });
    const { cluster } = archiving;
    expectDone(await archiving.run(["backup", "--fast"]));
    await cluster.query("create table rows as select i, md5(i::text) from generate_series(1, 40000) i");
    segment = await archiveCurrentSegment(cluster);
    await cluster.stop();
  });

  const parts = [
    { part: "all of it", path: () => archiving.repository },
    { part: "the cluster's folder", path: () => join(archiving.repository, "main") },
    { part: "cluster.json", path: () => join(archiving.repository, "main/cluster.json") },
  ];

  test.each(parts)("$part missing is never an answer of 1", async ({ path }) => {
    await rename(path(), `${directory}/away`);
    try {
      for (const name of [segment, "00000001000000FF00000001", "00000002.history"]) {
        const args = ["wal-fetch", name, join(directory, "RECOVERYXLOG")];
        const ended = await archiving.run(args, { cwd: archiving.cluster.pgdata });
        expect(ended.exitCode, ended.stderr).toBe(200);
        expect(ended.stderr).toContain("check repository and cluster name and that the repository is mounted");
      }
    } finally {
      await rename(`${directory}/away`, path());
    }
  });

  test("in the middle of a recovery: the server stops, does not promote, and goes on when it is back", async () => {
    const pgdata = join(directory, "restored");
    expectDone(await archiving.run(["restore", pgdata, "--action", "promote"]));
    await using server = await openRestored(archiving, pgdata);
    // The first fetches are answered; then the disk is gone, at the segment in the middle.
    const middle = `${segment.slice(0, 16)}${(Number.parseInt(segment.slice(16), 16) - 2).toString(16).padStart(8, "0").toUpperCase()}`;
    const away = `"${archiving.pgark.program}" wal-fetch %f "%p"`;
    await server.configure({
      restore_command: `test %f != ${middle} || mv "${archiving.repository}" "${directory}/away"; ${away}`,
    });
    // What restore wrote stands in postgresql.auto.conf, which wins; the server's own command line wins over that.
    await removeRestoreCommand(pgdata);
    // It may have been ready for readers in between.
    await server.start().catch(() => {});
    await until(() => !server.isRunning(), "the server to stop");
    const log = await server.log();
    expect(log).toContain(`restored log file "${segment.slice(0, 16)}`);
    expect(log).toMatch(/could not restore file "[0-9A-F]{24}" from archive: child process exited with exit code 200/);
    expect(log).not.toContain("archive recovery complete");
    await rename(`${directory}/away`, archiving.repository);
    await server.configure({ restore_command: away });
    await server.start();
    await until(async () => {
      const [row] = await server.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
      return row?.recovering === false;
    }, "the end of recovery");
    expect(await server.query("select count(*)::int as rows from rows")).toEqual([{ rows: 40000 }]);
  });
});

async function removeRestoreCommand(pgdata: string): Promise<void> {
  const file = join(pgdata, "postgresql.auto.conf");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace(/^restore_command.*$/m, ""));
}
