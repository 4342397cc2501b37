import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCluster } from "../../helpers/cluster.ts";
import { installPgark } from "../../helpers/pgark.ts";
import { postgresPrograms } from "../../helpers/postgres-programs.ts";
import { signalIfAlive, until, workersIn } from "../../helpers/processes.ts";
import { plainEnvironment } from "../../helpers/project.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { expectDone } from "../helpers/archiving-cluster.ts";

describeWith(["mounts"], "where PostgreSQL is the first process of a container", () => {
  // PostgreSQL 17 is the last that takes an inherited process for a backend.
  test("a killed background process is not taken for a crashed backend", { timeout: 120_000 }, async () => {
    const { path: directory } = await temporaryDirectory("pgark-first");
    const pgark = await installPgark(join(directory, "install"));
    const env = {
      PGARK_REPOSITORY: `file://${directory}/repository`,
      PGARK_CLUSTER: "main",
      PGARK_NODE: process.execPath,
    };
    const cluster = await createCluster({
      directory,
      major: 17,
      walSegmentSizeMb: 1,
      config: {
        archive_mode: "on",
        archive_command: `"${pgark.program}" wal-push %p`,
        listen_addresses: "",
        checkpoint_timeout: "30s",
      },
      env,
    });
    expectDone(await pgark.run(["init", "--pgdata", cluster.pgdata], { env }));
    const sockets = cluster.socketDirectory;
    const { postgres } = await postgresPrograms(17);
    const server = spawn(
      "unshare",
      [
        "--user",
        "--map-current-user",
        "--pid",
        "--fork",
        "--kill-child",
        postgres,
        "-D",
        cluster.pgdata,
        "-k",
        sockets,
        "-p",
        String(cluster.port),
      ],
      { env: { ...plainEnvironment(), ...env, LC_ALL: "C" }, stdio: ["ignore", "ignore", "pipe"] },
    );
    let log = "";
    server.stderr.on("data", (text: Buffer) => (log += text.toString()));
    try {
      await until(() => log.includes("ready to accept connections"), "the server to start");
      await until(async () => {
        await cluster.query("select pg_logical_emit_message(true, 'pgark', 'x')").catch(() => undefined);
        await cluster.query("select pg_switch_wal()").catch(() => undefined);
        return (await pushers(cluster.pgdata)).length === 2;
      }, "a pusher below its shell");
      const [row] = await cluster.query("select pg_postmaster_start_time()");
      const killed = await pushers(cluster.pgdata);
      for (const pid of killed) {
        if ((await commandOf(pid))[0] !== "/bin/sh") signalIfAlive(pid, "SIGKILL");
      }
      // Others may have taken their place: there is more to archive.
      await until(async () => {
        const alive = await pushers(cluster.pgdata);
        return killed.every((pid) => !alive.includes(pid));
      }, "the pusher and its shell to be gone");
      // Whatever PostgreSQL makes of an inherited process it has made of it before it answers to the next connection.
      expect((await cluster.query("select pg_postmaster_start_time()"))[0]).toEqual(row);
      expect(log).not.toContain("terminating any other active server processes");
    } finally {
      server.kill("SIGKILL");
      await new Promise((resolve) => server.once("exit", resolve));
    }
  });
});

async function commandOf(pid: number): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")).split("\0");
}

async function pushers(pgdata: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const pid of workersIn(pgdata)) if ((await commandOf(pid)).includes("wal-pusher")) found.push(pid);
  return found;
}
