import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { until, workersIn } from "../../helpers/processes.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { startArchivingCluster, type ArchivingCluster } from "../helpers/archiving-cluster.ts";

// Several servers on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

let archiving: ArchivingCluster;
let cluster: Cluster;
let archive: string;

beforeAll(async () => {
  const { path: directory } = await temporaryDirectory("pgark-ahead");
  archiving = await startArchivingCluster({
    directory,
    encrypted: true,
    walSegmentSizeMb: 1,
    config: { archive_command: "false" },
  });
  ({ cluster } = archiving);
  // What was acknowledged is written down by a program that knows nothing of pgark.
  archive = `"${archiving.pgark.program}" wal-push %p && echo %f >> "${directory}/acknowledged"`;
}, 120_000);

afterAll(async () => {
  await cluster.stop();
});

/** Ends so many segments. */
async function endSegments(count: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    await cluster.query("select pg_logical_emit_message(true, 'pgark', repeat(md5(random()::text), 1000))");
    await cluster.query("select pg_switch_wal()");
  }
}

async function ready(): Promise<readonly string[]> {
  const entries = await readdir(join(cluster.pgdata, "pg_wal/archive_status"));
  return entries.filter((entry) => entry.endsWith(".ready"));
}

async function untilArchived(): Promise<void> {
  await until(async () => (await ready()).length === 0, "all WAL to be archived", 60);
}

async function acknowledged(): Promise<readonly string[]> {
  const text = await readFile(join(archiving.directory, "acknowledged"), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

async function stored(): Promise<ReadonlySet<string>> {
  const found = await readdir(archiving.repository, { recursive: true });
  return new Set(found.map((path) => (path.split("/").at(-1) ?? "").replace(/\.zst\.age$/, "")));
}

const spool = (): string => `${cluster.pgdata}.pgark-spool`;
const sessions = async (): Promise<readonly string[]> =>
  (await readdir(spool())).filter((name) => /^\d+-\d+$/.test(name));
/** Acknowledges files as a pusher would, had it lied: all conditions hold but the one that is tested. */
async function plant(session: string, names: readonly string[]): Promise<void> {
  const push = join(spool(), session, "push");
  const [, , answers = ""] = (await readFile(join(push, "words"), "utf8")).split("\n");
  const folder = join(push, answers, "done");
  await mkdir(folder, { recursive: true });
  for (const name of names) await writeFile(join(folder, name), "");
}

const pusherLog = (): Promise<string> => readFile(join(spool(), "push.log"), "utf8");

describe("archiving ahead", () => {
  test("a backlog is worked off by one background process, and everything acknowledged is stored", async () => {
    await endSegments(40);
    await cluster.configure({ archive_command: archive });
    await untilArchived();
    const [names, kept] = [await acknowledged(), await stored()];
    expect(names.length).toBeGreaterThanOrEqual(40);
    expect(names.filter((name) => !kept.has(name))).toEqual([]);
    expect(await pusherLog()).toContain("began to archive ahead");
  });

  test("a failure reaches the server's log, and the file is archived once the reason is gone", async () => {
    await chmod(archiving.repository, 0o500);
    const folders = (await readdir(archiving.repository, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const folder of folders) await chmod(folder, 0o500);
    try {
      await endSegments(5);
      await until(async () => (await cluster.log()).includes("permission denied"), "the failure to be told", 60);
    } finally {
      for (const folder of [archiving.repository, ...folders]) await chmod(folder, 0o750);
    }
    await cluster.configure({ archive_command: `${archive} ` });
    await untilArchived();
    const kept = await stored();
    expect((await acknowledged()).filter((name) => !kept.has(name))).toEqual([]);
  });

  test("acknowledgements that somebody planted for another repository are not believed", async () => {
    await cluster.configure({ archive_command: "false" });
    await endSegments(8);
    const names = (await ready()).map((entry) => entry.replace(/\.ready$/, ""));
    const [session = ""] = await sessions();
    await plant(session, names);
    const other = join(archiving.directory, "other-repository");
    expect(
      (
        await archiving.run(["init", "--pgdata", cluster.pgdata, "--repository", `file://${other}`], {
          env: { PGARK_IDENTITY_FILE: undefined },
        })
      ).exitCode,
    ).toBe(0);
    await cluster.configure({
      archive_command: `"${archiving.pgark.program}" wal-push %p --repository "file://${other}"`,
    });
    await untilArchived();
    const there = new Set(
      (await readdir(other, { recursive: true })).map((path) => (path.split("/").at(-1) ?? "").replace(/\.zst$/, "")),
    );
    expect(names.filter((name) => !there.has(name))).toEqual([]);
  });

  test("acknowledgements that somebody planted for an earlier start of the server are not believed", async () => {
    await cluster.configure({ archive_command: archive });
    const [session = ""] = await sessions();
    await until(async () => {
      await endSegments(3);
      await untilArchived();
      return existsSync(join(spool(), session, "push", "words"));
    }, "a background process for this command line");
    await cluster.configure({ archive_command: "false" });
    await endSegments(6);
    const names = (await ready()).map((entry) => entry.replace(/\.ready$/, ""));
    await plant(session, names);
    await cluster.restart();
    await cluster.configure({ archive_command: archive });
    await untilArchived();
    const kept = await stored();
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !kept.has(name))).toEqual([]);
    expect(await sessions()).not.toContain(session);
  });

  test("the background process ends with the server", async () => {
    await cluster.configure({ archive_command: "false" });
    await endSegments(3);
    await cluster.configure({ archive_command: archive });
    await untilArchived();
    await cluster.stop();
    await until(() => workersIn(cluster.pgdata).length === 0, "the background process to end");
    const left = await Promise.all((await sessions()).map((session) => readdir(join(spool(), session, "push"))));
    expect(left.flat()).not.toContain("pid");
  });
});
