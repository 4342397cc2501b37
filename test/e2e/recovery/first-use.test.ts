import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { type Cluster, createCluster, openCluster } from "../../helpers/cluster.ts";
import { installPgark, type InstalledPgark, type PgarkResult } from "../../helpers/pgark.ts";
import { plainEnvironment, projectDirectory } from "../../helpers/project.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { archiveCurrentSegment, expectDone } from "../helpers/archiving-cluster.ts";
import { insertRows, rowsOf, untilPromoted } from "../helpers/recovery-archive.ts";

// Several servers, one after the other, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);
const node = { PGARK_NODE: process.execPath };

let directory: string;
let pgark: InstalledPgark;
let version: string;

beforeAll(async () => {
  ({ path: directory } = await temporaryDirectory());
  pgark = await installPgark(join(directory, "pgark"));
  ({ version } = JSON.parse(await readFile(join(projectDirectory, "package.json"), "utf8")) as { version: string });
});

/** As a person would: what init prints goes into postgresql.conf, word for word. */
async function takeAdvice(server: Cluster, initText: string): Promise<void> {
  const lines = [...initText.matchAll(/^ *((?:wal_level|archive_\w+) = .*)$/gm)].map(([, line = ""]) => line);
  expect(lines.map((line) => line.split(" ")[0])).toEqual([
    "wal_level",
    "archive_mode",
    "archive_timeout",
    "archive_command",
  ]);
  const file = join(server.pgdata, "postgresql.conf");
  await writeFile(file, `${await readFile(file, "utf8")}\n${lines.join("\n")}\n`);
  await server.restart();
}

/** init (over a connection), archive, backup, restore; nothing is known but what `told` says. */
async function fromInitToRestore(
  name: string,
  told: {
    readonly env?: Record<string, string>;
    readonly flags?: readonly string[];
    readonly initFlags?: readonly string[];
  },
): Promise<{ readonly init: PgarkResult; readonly restored: readonly number[] }> {
  const place = join(directory, name);
  await using source = await createCluster({ directory: place, major: 17, env: node });
  await source.start();
  const env = { PGHOST: source.socketDirectory, PGUSER: "postgres", PGDATABASE: "postgres", ...told.env };
  const flags = told.flags ?? [];
  const init = await pgark.run(["init", ...flags, ...(told.initFlags ?? [])], { env });
  expectDone(init);
  await takeAdvice(source, init.stdout);
  await source.query("create table t (id int)");
  await insertRows(source, 1);
  expectDone(await pgark.run(["backup", "--fast", ...flags], { env }));
  await insertRows(source, 2);
  await archiveCurrentSegment(source);
  const pgdata = join(place, "restored");
  const identity = told.initFlags?.indexOf("--identity-file") ?? -1;
  const keys = identity < 0 ? [] : ["--identity-file", told.initFlags?.[identity + 1] ?? ""];
  expectDone(await pgark.run(["restore", pgdata, ...flags, ...keys], { env }));
  // The restored server has nothing of that in its environment.
  await using restored = await openCluster({ major: 17, env: node }, pgdata);
  await restored.start();
  await untilPromoted(restored);
  return { init, restored: await rowsOf(restored) };
}

describe("a new user comes from init to a restored server", () => {
  test("with flags alone", async () => {
    const flags = ["--repository", `file://${directory}/flags-repository`, "--cluster", "main"];
    expect((await fromInitToRestore("flags", { flags })).restored).toEqual([1, 2]);
  });

  test("with the environment alone", async () => {
    const env = { PGARK_REPOSITORY: `file://${directory}/env-repository`, PGARK_CLUSTER: "main" };
    expect((await fromInitToRestore("environment", { env })).restored).toEqual([1, 2]);
  });

  test("with a pgark.yaml alone, encrypted, and the secret key in a file that only its owner reads", async () => {
    const config = join(directory, "config");
    await mkdir(join(config, "pgark"), { recursive: true });
    await writeFile(
      join(config, "pgark/pgark.yaml"),
      `repository: file://${directory}/yaml-repository\ncluster: main\n`,
    );
    const identityFile = join(directory, "safe/main.age");
    const { init, restored } = await fromInitToRestore("yaml", {
      env: { XDG_CONFIG_HOME: config },
      initFlags: ["--encrypt", "--identity-file", identityFile],
    });
    expect(restored).toEqual([1, 2]);
    expect(init.stdout + init.stderr).not.toContain("AGE-SECRET-KEY-");
    expect(await readFile(identityFile, "utf8")).toMatch(/^AGE-SECRET-KEY-/m);
    expect((await stat(identityFile)).mode & 0o777).toBe(0o600);
  });
});

describe("init --encrypt without a file for the identity", () => {
  test("prints it this once, says so, and keeps it nowhere; the next init makes no other", async () => {
    await using source = await createCluster({ directory: join(directory, "once"), major: 17 });
    const env = { PGARK_REPOSITORY: `file://${directory}/once-repository`, PGARK_CLUSTER: "main" };
    const home = join(directory, "once-home");
    await mkdir(home);
    const args = ["init", "--encrypt", "--pgdata", source.pgdata];
    const first = await pgark.run(args, { env: { ...env, XDG_CONFIG_HOME: home } });
    expectDone(first);
    const [key = "", ...others] = first.stdout.match(/AGE-SECRET-KEY-[0-9A-Z]+/g) ?? [];
    expect(others).toEqual([]);
    expect(first.stdout).toContain("THIS IS THE ONLY COPY OF THE KEY");
    const { stdout: found } = await run("grep", ["-rl", "--", key, directory]).catch(() => ({ stdout: "" }));
    expect(found).toBe("");
    const again = await pgark.run(args, { env: { ...env, XDG_CONFIG_HOME: home } });
    expectDone(again);
    expect(again.stdout).not.toContain("AGE-SECRET-KEY-");
    expect(again.stdout).toContain("nothing was changed");
  });
});

describe("what a backup shows of itself", () => {
  let source: Cluster;
  let env: Record<string, string>;
  beforeAll(async () => {
    source = await createCluster({ directory: join(directory, "shown"), major: 17, env: node });
    env = {
      PGARK_REPOSITORY: `file://${directory}/shown-repository`,
      PGARK_CLUSTER: "main",
      PGARK_DBNAME: source.connectionString,
      ...node,
    };
    await source.start();
    const init = await pgark.run(["init"], { env });
    expectDone(init);
    await takeAdvice(source, init.stdout);
  });

  test("its pgark is the package's version, as --version says it", async () => {
    const said = await pgark.run(["--version"]);
    expect(said.stdout).toBe(`${version}\n`);
    const taken = await pgark.run(["backup", "--fast", "--json"], { env });
    expectDone(taken);
    expect(JSON.parse(taken.stdout)).toMatchObject({ backup: { pgark: version } });
  });

  test("on a terminal, a bar with bytes, rate and time left, and nothing of it stays", async () => {
    const typescript = join(directory, "typescript");
    const command = `"${pgark.program}" backup --fast --rate 20MB/s`;
    await run("script", ["--quiet", "--flush", "--return", "--command", command, typescript], {
      env: { ...plainEnvironment(), ...env, TERM: "xterm", COLUMNS: "100" },
    });
    const shown = await readFile(typescript, "utf8");
    expect(shown).toMatch(/\[=* *\] copy: \d+%, [\d.]+ [kMG]?B of [\d.]+ MB, [\d.]+ [kM]B\/s, \d+ s left/);
    // What stands on each line since it was cleared: cli-progress does it by one sequence, log lines by the other.
    const cleared = ["\u001b[2K", "\r\u001b[K"];
    const left = shown
      .split("\n")
      .map((line) => line.slice(Math.max(...cleared.map((it) => line.lastIndexOf(it))) + 1));
    expect(left.filter((line) => line.includes("copy:"))).toEqual([]);
  });

  test("elsewhere, one line for what is done at once, without the numbers that are for machines", async () => {
    const taken = await pgark.run(["backup", "--fast"], { env });
    expectDone(taken);
    const lines = taken.stderr.split("\n").filter((line) => line.includes("copy:"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/\[info\] copy: done, [\d.]+ MB in \d+ s, [\d.]+ MB\/s$/);
    const asJson = await pgark.run(["backup", "--fast", "--log-format", "json"], { env });
    const logged = asJson.stderr.split("\n").filter((line) => line.includes('"copy:'));
    expect(JSON.parse(logged[0] ?? "")).toMatchObject({ phase: "copy", doneBytes: expect.any(Number) });
  });
});
