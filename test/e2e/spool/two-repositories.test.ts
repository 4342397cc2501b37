import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, rename } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCluster, openCluster, type Cluster } from "../../helpers/cluster.ts";
import { installPgark, type InstalledPgark } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { expectDone } from "../helpers/archiving-cluster.ts";

// Several servers on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

let directory: string;
let pgark: InstalledPgark;
let cluster: Cluster;
let env: Record<string, string>;
const repositories = (): readonly string[] => [join(directory, "first"), join(directory, "second")];

beforeAll(async () => {
  directory = (await temporaryDirectory("pgark-two")).path;
  pgark = await installPgark(join(directory, "install"));
  env = {
    PGARK_REPOSITORIES: repositories()
      .map((path) => `file://${path}`)
      .join(","),
    PGARK_CLUSTER: "main",
    PGARK_NODE: process.execPath,
    PGARK_IDENTITY_FILE: join(directory, "identity.txt"),
    PGARK_HOST_KEY_FILE: join(directory, "host-key.txt"),
  };
  cluster = await createCluster({
    directory,
    major: 17,
    walSegmentSizeMb: 1,
    config: { archive_mode: "on", archive_command: command() },
    env,
  });
  expectDone(await pgark.run(["init", "--pgdata", cluster.pgdata, "--encrypt"], { env }));
  await cluster.start();
  await cluster.query("create table rows (id int)");
  expectDone(await pgark.run(["backup", "--fast"], { env: { ...env, PGARK_DBNAME: cluster.connectionString } }));
}, 120_000);

afterAll(async () => {
  await cluster.stop();
});

function command(flags = ""): string {
  return `"${pgark.program}" wal-push %p ${flags}`.trim();
}

async function endSegments(count: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    await cluster.query("insert into rows select generate_series(1, 100)");
    await cluster.query("select pg_switch_wal()");
  }
}

async function readyCount(): Promise<number> {
  const status = await readdir(join(cluster.pgdata, "pg_wal/archive_status"));
  return status.filter((name) => name.endsWith(".ready")).length;
}

const untilArchived = (): Promise<void> => until(async () => (await readyCount()) === 0, "all WAL to be archived", 60);

/** The WAL files in a repository. */
async function walOf(repository: string): Promise<readonly string[]> {
  const found = await readdir(repository, { recursive: true }).catch(() => []);
  return found
    .filter((path) => path.includes("/wal/") && path.endsWith(".zst.age"))
    .map((path) => path.split("/").at(-1) ?? "")
    .sort();
}

/** What status says of each repository. */
async function lag(): Promise<readonly { readonly missingFiles: number; readonly problem: string | null }[]> {
  const ended = await pgark.run(["status", "--json", "--pgdata", cluster.pgdata], {
    env: { ...env, PGARK_DBNAME: cluster.connectionString },
  });
  expectDone(ended);
  const told = JSON.parse(ended.stdout) as { readonly repositories: Awaited<ReturnType<typeof lag>> };
  return told.repositories;
}

async function away(repository: string): Promise<AsyncDisposable> {
  await rename(repository, `${repository}.away`);
  return { [Symbol.asyncDispose]: () => rename(`${repository}.away`, repository) };
}

test("a segment is acknowledged when both have it, and not while one is away", async () => {
  const [first = "", second = ""] = repositories();
  await endSegments(5);
  await untilArchived();
  expect(await walOf(first)).toEqual(await walOf(second));
  {
    await using _ = await away(second);
    await endSegments(2);
    await until(async () => (await cluster.log()).includes("1 of 2 repositories"), "the reason to be told", 60);
    expect(await readyCount()).toBeGreaterThan(0);
    expect(existsSync(second)).toBe(false);
  }
  await cluster.configure({ archive_command: command("--jobs 2") });
  await untilArchived();
  expect(await walOf(first)).toEqual(await walOf(second));
});

test("with a quorum archiving goes on while one is away, which then catches up", async () => {
  const [first = "", second = ""] = repositories();
  await cluster.configure({ archive_command: command("--quorum 1") });
  {
    await using _ = await away(second);
    await endSegments(12);
    await untilArchived();
    expect((await walOf(first)).length).toBeGreaterThan((await walOf(`${second}.away`)).length);
    expect(existsSync(second)).toBe(false);
    expect((await lag()).map(({ problem }) => problem !== null)).toEqual([false, true]);
  }
  await endSegments(2);
  await untilArchived();
  await until(
    async () => JSON.stringify(await walOf(second)) === JSON.stringify(await walOf(first)),
    "the second repository to catch up",
    60,
  );
  expect(await lag()).toMatchObject([
    { missingFiles: 0, problem: null },
    { missingFiles: 0, problem: null },
  ]);
});

test("commands that work with one repository take the first", async () => {
  for (const args of [["verify"], ["list"], ["plan"], ["metrics"], ["prune", "--keep-last", "1"]]) {
    expectDone(await pgark.run(args, { env: { ...env, PGARK_DBNAME: cluster.connectionString } }));
  }
  // It gets as far as its port, which is taken.
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const served = await pgark.run(["serve", "--metrics", "--listen", `127.0.0.1:${port}`], { env });
  taken.close();
  expect(served.stderr).toContain("EADDRINUSE");
});

test("a recovery takes each segment from the first that has it, and goes on with one of them gone", async () => {
  const [first = "", second = ""] = repositories();
  await endSegments(5);
  await untilArchived();
  await until(
    async () => JSON.stringify(await walOf(second)) === JSON.stringify(await walOf(first)),
    "both to be level",
    60,
  );
  const [wanted] = await cluster.query("select count(*)::int from rows");
  const pgdata = join(directory, "restored");
  expectDone(await pgark.run(["restore", pgdata, "--action", "promote", "--no-progress"], { env }));
  await using restored = await openCluster({ major: 17, env: { ...env, PGARK_SPOOL: "off" } }, pgdata);
  {
    await using _ = await away(first);
    // Up to the end of WAL: that there is no more only both can say, so recovery stops and does not open the database.
    await restored.start().catch(() => undefined);
    await until(() => !restored.isRunning(), "recovery to stop", 60);
    expect(await restored.log()).toContain("restored log file");
    expect(await restored.log()).not.toContain("archive recovery complete");
  }
  await restored.start();
  await until(async () => {
    const [row] = await restored.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
    return row?.recovering === false;
  }, "recovery to end");
  expect((await restored.query("select count(*)::int from rows"))[0]).toEqual(wanted);
});
