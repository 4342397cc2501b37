import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { openCluster, type Cluster } from "../../helpers/cluster.ts";
import { until, workersIn } from "../../helpers/processes.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { debianClientProgram } from "../../helpers/tools.ts";
import { keepSegments, sha256Of } from "../helpers/archiving-cluster.ts";
import { createServedCluster, serverEnvironment, type ServedCluster } from "../helpers/served-cluster.ts";

// Several servers on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

/** Where pg_rewind comes from, which wants servers of its own major. */
const debian = { major: 15, source: "debian" } as const;

describeWith(["postgresql-15"], "pg_rewind", () => {
  test("fetches what its target lacks, one file at a time, and nothing is begun ahead", async () => {
    await using source = await createServedCluster({ ...debian, encrypt: true, walSegmentSizeMb: 1 });
    const old = source.cluster;
    await old.start();
    await old.query("create table rows (id bigint generated always as identity, origin text)");
    await source.backup();
    await insert(old, "both");
    await source.archiveAll();
    await using next = await startSuccessor(source);
    await insert(next, "next");

    // The old primary goes on, on the timeline that was left, until of that WAL only the archive has all.
    await insert(old, "old");
    const left = await keepSegments(old, join(source.directory, "left"), 4);
    await source.archiveAll();
    const last = left.at(-1)?.name ?? "";
    const [setting] = await next.query<{ restore_command: string }>("show restore_command");
    await old.configure({ restore_command: setting?.restore_command ?? "" });
    await old.stop();
    await removeSegments(old, last);
    await expect(rewind(old, next, "--dry-run")).rejects.toThrow(/\/pg_wal\/[0-9A-F]{24}/);

    // The old server's pusher still has to notice that the server is gone.
    await until(() => workersIn(old.pgdata).length === 0, "the processes of the old server to end");
    const spooled = await spoolOf(old);
    await rewind(old, next, "--dry-run", "--restore-target-wal");
    for (const { name, sha256 } of left) {
      expect(sha256Of(await readFile(join(old.pgdata, "pg_wal", name))), name).toBe(sha256);
    }
    await removeSegments(old, last);
    await rewind(old, next, "--restore-target-wal");
    expect(workersIn(old.pgdata)).toEqual([]);
    // However short a background process lives: its log would be here.
    expect(await spoolOf(old)).toEqual(spooled);

    await writeFile(join(old.pgdata, "standby.signal"), "");
    await old.configure({ primary_conninfo: `host=${next.socketDirectory} port=${next.port} user=postgres` });
    await old.start();
    await insert(next, "later");
    await until(async () => (await originsIn(old)).includes("later"), "the old primary to follow the next one", 60);
    expect(await originsIn(old)).toEqual(["both", "later", "next"]);
    expect(await digest(old)).toEqual(await digest(next));
    expect(await old.query("select to_regclass('filler') as filler")).toEqual([{ filler: null }]);
  });
});

/** A standby that follows the archive to its end, and takes over. It does not archive. */
async function startSuccessor(source: ServedCluster): Promise<Cluster> {
  const { pgdata } = await source.restore("next", "--standby");
  const next = await openCluster({ ...debian, env: serverEnvironment() }, pgdata);
  await next.start();
  await until(async () => (await originsIn(next)).includes("both"), "the standby to have the rows", 60);
  await next.promote();
  // pg_rewind takes the timeline from the control file, which has it from the first checkpoint on.
  await next.query("checkpoint");
  return next;
}

async function insert(server: Cluster, origin: string): Promise<void> {
  await server.query("insert into rows (origin) select $1 from generate_series(1, 1000)", [origin]);
}

async function originsIn(server: Cluster): Promise<readonly string[]> {
  const rows = await server.query<{ origin: string }>("select distinct origin from rows order by origin");
  return rows.map(({ origin }) => origin);
}

async function digest(server: Cluster): Promise<unknown> {
  return server.query("select count(*)::int, md5(string_agg(r::text, '' order by id, origin)) from rows r");
}

/** As PostgreSQL may with what is archived, and in part has done by itself. */
async function removeSegments(server: Cluster, upTo: string): Promise<void> {
  const wal = join(server.pgdata, "pg_wal");
  const segments = (await readdir(wal)).filter((name) => /^[0-9A-F]{24}$/.test(name));
  for (const name of segments.filter((segment) => segment <= upTo)) await rm(join(wal, name));
}

async function spoolOf(server: Cluster): Promise<readonly string[]> {
  return (await readdir(`${server.pgdata}.pgark-spool`, { recursive: true })).toSorted();
}

/** Rejects with what pg_rewind says when it fails. */
async function rewind(target: Cluster, source: Cluster, ...flags: readonly string[]): Promise<void> {
  const places = ["--target-pgdata", target.pgdata, "--source-server", source.connectionString];
  // From wherever it is called: it does not go into the data directory, as PostgreSQL does for restore_command.
  await debianClientProgram("pg_rewind").run([...places, "--no-sync", ...flags], { cwd: target.socketDirectory });
}
