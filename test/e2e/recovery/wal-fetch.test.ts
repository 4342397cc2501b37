import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { until } from "../../helpers/processes.ts";
import { plainEnvironment } from "../../helpers/project.ts";
import { socketDirectory } from "../../helpers/socket-directory.ts";
import { archiveCurrentSegment, sha256Of } from "../helpers/archiving-cluster.ts";
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
/** segments after the backup; row n was committed in the nth of them, beginning with 1 */
const segments: string[] = [];
const everyRow = [1, 2, 3, 4, 5];
const segment = (row: number): string => segments[row - 1] ?? "";

beforeAll(async () => {
  // PostgreSQL would ask for segments ahead of those that it replays.
  archive = await startRecoveryArchive({ config: { recovery_prefetch: "off" } });
  await archive.cluster.query("create table t (id int)");
  await archive.backup();
  for (const row of everyRow) {
    await insertRows(archive.cluster, row);
    segments.push(await archiveCurrentSegment(archive.cluster));
  }
  await archive.cluster.stop();
}, 120_000);

/** Does `work` while something is not as it should be, and puts it right. */
async function during(trouble: AsyncDisposable, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await trouble[Symbol.asyncDispose]();
  }
}

/** Makes a file unreadable for as long as it lives; the tests do not run as root. */
async function unreadable(file: string): Promise<AsyncDisposable> {
  await chmod(file, 0o000);
  return { [Symbol.asyncDispose]: () => chmod(file, 0o600) };
}

async function moved(path: string): Promise<AsyncDisposable> {
  await rename(path, `${path}.away`);
  return { [Symbol.asyncDispose]: () => rename(`${path}.away`, path) };
}

/** Puts something in a file's place that cannot be opened, as with a file system that is not there: ENXIO. */
async function unanswering(file: string): Promise<AsyncDisposable> {
  const socket = join(await socketDirectory(), "object");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  await rename(file, `${file}.away`);
  await symlink(socket, file);
  return {
    async [Symbol.asyncDispose]() {
      await rename(`${file}.away`, file);
      server.close();
    },
  };
}

/** Starts a server that is to stop in the middle of its recovery. It may have been open for reading by then. */
async function untilStopped(server: Cluster): Promise<void> {
  await server.start().catch(() => undefined);
  await until(() => !server.isRunning(), "the server to stop");
  expect(existsSync(join(server.pgdata, "recovery.signal")), "recovery is not over").toBe(true);
}

describe("when the store fails in the middle", () => {
  test("archive recovery stops and does not promote; mended, the next start finishes with every row", async () => {
    await using server = await archive.restore("failing-recovery");
    await during(await unreadable(archive.walObject(segment(3))), async () => {
      await untilStopped(server);
      const log = await server.log();
      expect(log).toMatch(
        new RegExp(`could not restore file "${segment(3)}" from archive: child process exited with exit code 200`),
      );
      expect(log).toContain(`restored log file "${segment(2)}" from archive`);
      expect(log).toContain("HINT");
    });
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual(everyRow);
  });

  test("a standby stays up, asks again, and catches up when the store is mended", async () => {
    await using server = await archive.restore("failing-standby", "--standby");
    await server.configure({ wal_retrieve_retry_interval: "100ms" });
    await during(await unreadable(archive.walObject(segment(3))), async () => {
      await server.start();
      await until(async () => (await rowsOf(server)).length === 2, "row 2");
      await until(async () => (await server.log()).split(segment(3)).length > 3, "the standby to have asked twice");
      expect(await rowsOf(server)).toEqual([1, 2]);
      expect(server.isRunning()).toBe(true);
    });
    await until(async () => (await rowsOf(server)).length === everyRow.length, "the standby to catch up");
    await server.promote();
    await insertRows(server, 6);
    expect(await rowsOf(server)).toEqual([...everyRow, 6]);
  });

  test("no mishap around pgark itself reads as the end of the archive", async () => {
    await using server = await archive.restore("mishaps");
    const autoConf = join(server.pgdata, "postgresql.auto.conf");
    const right = await readFile(autoConf, "utf8");
    const command = /^restore_command = '(.*)'$/m.exec(right)?.[1] ?? "";
    const withCommand = async (text: string): Promise<AsyncDisposable> => {
      await writeFile(autoConf, right.replace(command, text));
      return { [Symbol.asyncDispose]: () => writeFile(autoConf, right) };
    };
    const config = join(archive.directory, "broken.yaml");
    await writeFile(config, "repository: [\n");
    const mishaps: Record<string, () => Promise<AsyncDisposable>> = {
      "an unknown flag": () => withCommand(`${command} --no-such-flag`),
      "a missing argument": () => withCommand(command.replace("%f", "")),
      "a mistyped command": () => withCommand(command.replace("wal-fetch", "wal-fech")),
      "a configuration file that is not there": () => withCommand(`${command} --config /nowhere/pgark.yaml`),
      "a configuration file that is not YAML": () => withCommand(`${command} --config ${config}`),
      "a node that is not there": () => withCommand(`PGARK_NODE=/nowhere/node ${command}`),
      "a node that is none": () => withCommand(`PGARK_NODE=/bin/false ${command}`),
      "an install without its bundles": () => moved(join(archive.pgark.directory, "dist")),
      "an install without the command line": () => moved(join(archive.pgark.directory, "dist/cli.cjs")),
      "an install without the storage driver": () => moved(join(archive.pgark.directory, "dist/driver-file.cjs")),
      "no pgark at all": () => moved(archive.pgark.program),
      "a repository that is not mounted": () => moved(archive.repository),
      "another cluster's name": () => withCommand(`${command} --cluster other`),
    };
    for (const [mishap, happen] of Object.entries(mishaps)) {
      await during(await happen(), async () => {
        await untilStopped(server).catch((error: unknown) => {
          throw new Error(`with ${mishap} the server did not stop`, { cause: error });
        });
      });
    }
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual(everyRow);
  });
});

describe("a fetch", () => {
  const fetchInto = async (pgdata: string, name: string, ...flags: readonly string[]) => {
    const destination = join(pgdata, "pg_wal", "RECOVERYXLOG");
    await rm(destination, { force: true });
    const ended = await archive.run(["wal-fetch", name, "pg_wal/RECOVERYXLOG", ...flags], { cwd: pgdata });
    return { ...ended, delivered: existsSync(destination) ? sha256Of(await readFile(destination)) : undefined };
  };

  test("says 1 for what is not there, a segment or a history, and leaves nothing behind", async () => {
    const { pgdata } = await archive.restore("absent");
    for (const name of ["00000001000000AA000000BB", "00000002.history"]) {
      expect(await fetchInto(pgdata, name)).toMatchObject({ exitCode: 1, delivered: undefined, stderr: "" });
    }
  });

  test("of what it cannot find out about says 200 in recovery and 2 on a standby", async () => {
    const { pgdata } = await archive.restore("unknown");
    await during(await unreadable(archive.walObject(segment(1))), async () => {
      expect(await fetchInto(pgdata, segment(1))).toMatchObject({ exitCode: 200, delivered: undefined });
      await writeFile(join(pgdata, "standby.signal"), "");
      expect(await fetchInto(pgdata, segment(1))).toMatchObject({ exitCode: 2, delivered: undefined });
    });
  });

  test("gives out a .partial on a standby or when told to, says so, and never in place of the whole segment", async () => {
    const { pgdata } = await archive.restore("partial");
    const name = segment(5);
    const partial = join(archive.directory, `${name}.partial`);
    const { delivered: content } = await fetchInto(pgdata, name);
    await rename(join(pgdata, "pg_wal/RECOVERYXLOG"), partial);
    expect(await archive.run(["wal-push", partial], { cwd: archive.cluster.pgdata })).toMatchObject({ exitCode: 0 });
    await during(await moved(archive.walObject(name)), async () => {
      expect(await fetchInto(pgdata, name)).toMatchObject({ exitCode: 1, delivered: undefined });
      const told = await fetchInto(pgdata, name, "--partial");
      expect(told).toMatchObject({ exitCode: 0, delivered: content });
      expect(told.stderr).toContain(`served ${name}.partial for ${name}`);
      await writeFile(join(pgdata, "standby.signal"), "");
      expect(await fetchInto(pgdata, name)).toMatchObject({ exitCode: 0, delivered: content });
    });
    const again = await fetchInto(pgdata, name);
    expect(again).toMatchObject({ exitCode: 0, stderr: "" });
    await rm(archive.walObject(`${name}.partial`));
    await rm(partial);
  });

  test("that waits for the store is no hindrance to a fast shutdown, and costs no row", async () => {
    await using server = await archive.restore("waiting");
    await during(await unanswering(archive.walObject(segment(3))), async () => {
      const starting = server.start().catch(() => undefined);
      await until(async () => (await server.log()).includes("attempt 1 of"), "the fetch to wait");
      await server.stop("fast");
      await starting;
      expect(await server.log()).not.toContain("exit code 200");
      expect(existsSync(join(server.pgdata, "recovery.signal"))).toBe(true);
    });
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual(everyRow);
  });

  test("that waits for the store answers SIGTERM with 143, and brings the segment when the store is back", async () => {
    const { pgdata } = await archive.restore("patient");
    const broken = await unanswering(archive.walObject(segment(3)));
    /** A fetch that has begun to wait, and the code that it ends with. */
    const waitingFetch = async () => {
      const child = spawn(archive.pgark.program, ["wal-fetch", segment(3), "pg_wal/x"], {
        cwd: pgdata,
        env: { ...plainEnvironment(), ...archive.env },
        stdio: ["ignore", "ignore", "pipe"],
      });
      const exitCode = new Promise<number | null>((resolve) => child.once("exit", resolve));
      let said = "";
      child.stderr.on("data", (data: Buffer) => (said += data.toString()));
      await until(() => said.includes("attempt 1 of"), "the fetch to wait");
      return { child, exitCode };
    };
    const first = await waitingFetch();
    first.child.kill("SIGTERM");
    expect(await first.exitCode).toBe(143);
    expect(existsSync(join(pgdata, "pg_wal/x"))).toBe(false);

    const second = await waitingFetch();
    await broken[Symbol.asyncDispose]();
    expect(await second.exitCode).toBe(0);
    expect(existsSync(join(pgdata, "pg_wal/x"))).toBe(true);
  });
});
