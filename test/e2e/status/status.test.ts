import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { freePorts } from "../../helpers/ports.ts";
import type { PgarkResult } from "../../helpers/pgark.ts";
import { until } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { controlFileBytes } from "../../postgres/control-file-bytes.ts";
import {
  archiveCurrentSegment,
  expectDone,
  startArchivingCluster,
  type ArchivingCluster,
} from "../helpers/archiving-cluster.ts";

// One server for all; many times as long on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

interface Status {
  readonly status: string;
  readonly findings: readonly { readonly code: string; readonly severity: string; readonly todo: string }[];
  readonly server: { readonly failing: boolean; readonly inRecovery: boolean } | null;
  readonly backlog: { readonly files: number; readonly oldest: { readonly name: string } | null } | null;
  readonly lives: readonly { readonly window: readonly unknown[] }[];
}

let directory: string;
let archiving: ArchivingCluster;

beforeAll(async () => {
  ({ path: directory } = await temporaryDirectory("pgark-status"));
  archiving = await startArchivingCluster({
    directory,
    walSegmentSizeMb: 1,
    // What fails, and how many files wait, is to be seen by what archive_command alone does.
    env: { PGARK_SPOOL: "off" },
  });
});

async function status(...args: readonly string[]): Promise<Status> {
  return (await archiving.json(["status", ...args])) as unknown as Status;
}

async function findings(...args: readonly string[]): Promise<readonly string[]> {
  return (await status(...args)).findings.map(({ severity, code }) => `${severity} ${code}`);
}

function check(...args: readonly string[]): Promise<PgarkResult> {
  return archiving.run(["status", "--check", ...args]);
}

async function switchSegment(): Promise<string> {
  await archiving.cluster.query("select pg_logical_emit_message(true, 'pgark', 'fills the segment')");
  const [row] = await archiving.cluster.query<{ name: string }>("select pg_walfile_name(pg_switch_wal()) as name");
  return row?.name ?? "";
}

async function untilFailing(name: string): Promise<void> {
  const question = "select last_failed_wal = $1 as failing from pg_stat_archiver";
  await until(
    async () => (await archiving.cluster.query<{ failing: boolean | null }>(question, [name]))[0]?.failing === true,
    `archiving of ${name} to fail`,
  );
}

describe("the status of a cluster", () => {
  test("before the first backup it is critical: nothing can be restored", async () => {
    expect(await findings()).toEqual(["critical no-backup"]);
    expect(await check()).toMatchObject({ exitCode: 2 });
  });

  test("after a backup all is well, and monitoring is told so in one line", async () => {
    expectDone(await archiving.run(["backup", "--fast"]));
    await archiveCurrentSegment(archiving.cluster);
    const text = await archiving.run(["status"]);
    expectDone(text);
    expect(text.stdout).toMatch(/^main in file:\/\/.*: ok\n\ncan be restored:\n {2}timeline 1: .* from backup \d{8}T/);
    expect(text.stdout).not.toContain("to do");
    const checked = await check("--warn", "wal-lag=10MB", "--crit", "backup-age=1h");
    expect(checked.stdout).toMatch(/^PGARK OK - main: all is well \| backup-age=\d+s;93600;3600 wal-age=.*\n$/);
    expect(checked).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await status()).toMatchObject({ server: { failing: false, inRecovery: false }, backlog: { files: 0 } });
  });

  test("a threshold that is passed warns, and one of a misspelt name is no alarm but unknown", async () => {
    expect(await check("--warn", "window=1d")).toMatchObject({ exitCode: 1 });
    expect(await check("--crit", "window=1d")).toMatchObject({ exitCode: 2 });
    const misspelt = await check("--warn", "backup_age=1h");
    expect(misspelt.exitCode).toBe(3);
    expect(misspelt.stderr).toContain('did you mean "backup-age"?');
  });

  test("a stopped archiver shows as a backlog, and is critical past its threshold", async () => {
    await archiving.cluster.configure({ archive_command: "false" });
    const names = [await switchSegment(), await switchSegment(), await switchSegment()];
    await untilFailing(names[0] ?? "");
    const stopped = await status();
    expect(stopped).toMatchObject({ status: "warning", server: { failing: true } });
    expect(stopped.backlog).toMatchObject({ files: 3, oldest: { name: names[0] } });
    const here = await status("--pgdata", archiving.cluster.pgdata);
    expect(here.backlog).toMatchObject({ files: 3, oldest: { name: names[0] } });
    const checked = await check("--crit", "backlog=2");
    expect(checked.exitCode).toBe(2);
    expect(checked.stdout).toMatch(
      /^PGARK CRITICAL - main: PostgreSQL fails to archive .*; 3 files wait \| .*backlog=3;100;2/,
    );
  });

  test("the data directory of another cluster is not taken for this one's", async () => {
    const pgdata = join(directory, "another");
    await mkdir(join(pgdata, "global"), { recursive: true });
    await copyFile(join(archiving.cluster.pgdata, "PG_VERSION"), join(pgdata, "PG_VERSION"));
    await writeFile(join(pgdata, "global/pg_control"), controlFileBytes());
    expect(await findings("--pgdata", pgdata)).toContain("warning not-asked");
  });

  test("a role that may not see the backlog is told what it lacks", async () => {
    await archiving.cluster.query("create role watcher login");
    const dbname = archiving.cluster.connectionString.replace("postgres@", "watcher@");
    const blind = await status("--dbname", dbname);
    expect(blind.backlog).toBeNull();
    expect(blind.findings.find(({ code }) => code === "not-asked")?.todo).toMatch(/^GRANT pg_monitor/);
    await archiving.cluster.query("grant pg_monitor to watcher");
    expect((await status("--dbname", dbname)).backlog?.files).toBe(3);
  });

  test("another file under the name that is to be archived is told as a conflict", async () => {
    const name = (await status()).backlog?.oldest?.name ?? "";
    const forged = join(directory, "forged", name);
    await mkdir(join(directory, "forged"));
    await copyFile(join(archiving.cluster.pgdata, "pg_wal", name), forged);
    const bytes = await readFile(forged);
    await writeFile(forged, bytes.fill(0x55, 500_000, 500_100));
    expectDone(await archiving.run(["wal-push", forged, "--pgdata", archiving.cluster.pgdata]));
    await archiving.cluster.configure({ archive_command: `"${archiving.pgark.program}" wal-push %p` });
    for (const args of [["--pgdata", archiving.cluster.pgdata], []]) {
      expect((await findings(...args))[0]).toBe("critical conflict");
    }
    const { stdout } = await archiving.run(["status"]);
    expect(stdout).toContain(
      `PostgreSQL cannot archive ${name}: the repository holds another file of that name, which`,
    );
  });

  test("metrics come in the text format, or in a file that is replaced as a whole", async () => {
    const printed = await archiving.run(["metrics"]);
    expectDone(printed);
    expect(printed.stdout).toMatch(/^pgark_archiver_failing\{cluster="main",identity="17-\d+"\} 1$/m);
    expect(printed.stdout).toMatch(/^pgark_repository_bytes\{cluster="main",identity="17-\d+",kind="wal"\} \d{4,}$/m);
    const collector = join(directory, "collector");
    await mkdir(collector);
    const output = join(collector, "pgark.prom");
    expectDone(await archiving.run(["metrics", "--output", output]));
    expect(await readFile(output, "utf8")).toMatch(/^pgark_wal_backlog_files\{.*\} 3$/m);
    const env = { PGARK_REPOSITORY: `file://${join(directory, "nowhere")}` };
    expect(await archiving.run(["metrics", "--output", output], { env })).toMatchObject({ exitCode: 5, stdout: "" });
    const failed = await readFile(output, "utf8");
    expect(failed).toMatch(/^pgark_collect_success\{cluster="main"\} 0$/m);
    expect(failed).not.toContain("backlog");
    expect(await readdir(collector)).toEqual(["pgark.prom"]);
  });

  test("an endpoint serves them until SIGTERM, which it takes for a clean end", async () => {
    const [port = 0] = await freePorts(1);
    const stop = new AbortController();
    const serving = archiving.run(["serve", "--metrics", "--listen", `127.0.0.1:${port}`], { signal: stop.signal });
    const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
    try {
      await until(async () => (await get("/healthz").catch(() => undefined))?.ok === true, "the endpoint to answer");
      const answers = await Promise.all([get("/metrics"), get("/metrics")]);
      const texts = await Promise.all(answers.map((answer) => answer.text()));
      expect(answers[0]?.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
      expect(texts[0]).toMatch(/^pgark_status\{cluster="main"\} 2$/m);
      // Both are of one look: another one would have taken another time.
      expect(texts[1]).toBe(texts[0]);
    } finally {
      stop.abort();
    }
    const ended = await serving;
    expectDone(ended);
    expect(ended.stderr).toContain(`serving http://127.0.0.1:${port}/metrics`);
  });

  test("without a server the repository alone gives a status, which says what could not be asked", async () => {
    await archiving.cluster.stop();
    const named = await status();
    expect(named.server).toBeNull();
    expect(named.lives[0]?.window).toHaveLength(1);
    expect(named.findings.map(({ code }) => code)).toContain("not-asked");
    expect(await findings("--store-only")).toEqual([]);
    expect((await status("--pgdata", archiving.cluster.pgdata)).backlog?.files).toBeGreaterThanOrEqual(3);
    expect(await check("--store-only", "--warn", "backlog=1")).toMatchObject({
      exitCode: 3,
      stdout: expect.stringMatching(/^PGARK UNKNOWN - main: not known: backlog/),
    });
  });

  test("a repository that cannot be reached is unknown to monitoring, not critical", async () => {
    const env = { PGARK_REPOSITORY: `file://${join(directory, "nowhere")}` };
    const ended = await archiving.run(["status", "--check"], { env });
    expect(ended.exitCode).toBe(3);
    expect(ended.stdout).toMatch(/^PGARK UNKNOWN - there is no cluster "main" in file:/);
  });
});
