import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCli } from "../../src/cli/run.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { controlFileBytes } from "../postgres/control-file-bytes.ts";
import { testIo } from "./test-io.ts";
import type { TestIo } from "./test-io.ts";

async function ran(
  argv: readonly string[],
  changes: Partial<TestIo> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const io = testIo({ argv, ...changes });
  const code = await runCli(io, "1.2.3");
  return { code, ...io.written };
}

/** A data directory as far as init looks into it, and the flags that name it and a repository. */
async function place(directory: string): Promise<{ pgdata: string; flags: readonly string[] }> {
  const pgdata = join(directory, "data");
  await mkdir(join(pgdata, "global"), { recursive: true });
  await writeFile(join(pgdata, "PG_VERSION"), "17\n");
  await writeFile(join(pgdata, "global/pg_control"), controlFileBytes());
  const config = join(directory, "pgark.yaml");
  await writeFile(config, `repository: file://${directory}/repository\ncluster: main\n`);
  return { pgdata, flags: ["--config", config] };
}

describe("pgark", () => {
  test("prints its version and help on standard output", async () => {
    expect(await ran(["--version"])).toEqual({ code: 0, stdout: "1.2.3\n", stderr: "" });
    expect((await ran(["wal-fetch", "--help"])).code).toBe(0);
  });

  test("answers failures under --json with one object on stderr, and nothing on standard output", async () => {
    const { code, stdout, stderr } = await ran(["list", "--json", "--bad"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "usage" }, exitCode: 2 });
  });

  test.each([
    ["a wrong flag", ["wal-fetch", "--bad"]],
    ["missing arguments", ["wal-fetch"]],
    ["no configuration", ["wal-fetch", "000000010000000000000001", "x"]],
    ["a configuration that does not exist", ["wal-fetch", "a", "b", "--config", "/nowhere/x.yaml"]],
    [
      "a repository that is not there",
      ["wal-fetch", "000000010000000000000001", "x", "--repository=file:///nowhere/r", "--cluster=main"],
    ],
    [
      "an identity file that is not there",
      ["wal-fetch", "a", "b", "--repository=file:///nowhere/r", "--cluster=main", "--identity-file=/nowhere/k"],
    ],
  ])("%s never lets wal-fetch say that the archive ends", async (_name, argv) => {
    await using directory = await temporaryDirectory();
    expect((await ran(argv, { cwd: directory.path })).code).toBe(200);
    await writeFile(join(directory.path, "standby.signal"), "");
    expect((await ran(argv, { cwd: directory.path })).code).toBe(2);
  });

  test("a mistyped command is 127", async () => expect((await ran(["wal-fech", "a", "b"])).code).toBe(127));
});

describe("pgark init", () => {
  test("prints a new secret key exactly once, with a warning, and never stores it", async () => {
    await using directory = await temporaryDirectory();
    const { pgdata, flags } = await place(directory.path);
    const first = await ran(["init", "--encrypt", "-D", pgdata, ...flags]);
    expect(first.code).toBe(0);
    const keys = first.stdout.match(/AGE-SECRET-KEY-1[0-9A-Z]+/g) ?? [];
    expect(keys).toHaveLength(1);
    expect(first.stdout).toContain("THIS IS THE ONLY COPY");
    expect(first.stderr).not.toContain("AGE-SECRET");
    const entries = await readdir(directory.path, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) expect(await readFile(file, "latin1")).not.toContain(keys[0]);
    expect((await stat(join(directory.path, "main.host-key"))).mode & 0o777).toBe(0o600);

    const again = await ran(["init", "--encrypt", "-D", pgdata, ...flags]);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("nothing was changed");
    expect(again.stdout).not.toContain("AGE-SECRET");
  });

  test("uses the identity in a file that is there, so that an interrupted init can be run again", async () => {
    await using directory = await temporaryDirectory();
    const { pgdata, flags } = await place(directory.path);
    const identity = join(directory.path, "main.age");
    const argv = ["init", "--encrypt", "--identity-file", identity, "--json", "-D", pgdata, ...flags];
    const first = JSON.parse((await ran(argv)).stdout) as {
      recipients: string[];
      created: boolean;
      archiveCommand: string;
    };
    expect(first.created).toBe(true);
    expect(first.archiveCommand).toContain("wal-push");
    const written = await readFile(identity, "utf8");
    expect(written).toContain(`# public key: ${first.recipients[0]}`);
    const other = await ran([...argv, "--cluster", "second"]);
    expect(JSON.parse(other.stdout)).toMatchObject({ recipients: first.recipients, created: true });
    expect(await readFile(identity, "utf8")).toBe(written);
  });

  test("does not put a secret key into JSON, nor leave a doubt which key is meant", async () => {
    await using directory = await temporaryDirectory();
    const { pgdata, flags } = await place(directory.path);
    expect((await ran(["init", "--encrypt", "--json", "-D", pgdata, ...flags])).code).toBe(2);
    expect((await ran(["init", "--encrypt", "--recipients", "age1x", "-D", pgdata, ...flags])).code).toBe(2);
  });

  test("refuses to encrypt a cluster that exists unencrypted", async () => {
    await using directory = await temporaryDirectory();
    const { pgdata, flags } = await place(directory.path);
    expect((await ran(["init", "-D", pgdata, ...flags])).stdout).toContain("not encrypted");
    const refused = await ran(["init", "--encrypt", "-D", pgdata, ...flags]);
    expect([refused.code, refused.stdout]).toEqual([4, ""]);
  });
});

describe("on a cluster without backups", () => {
  test("list is empty, plan and restore refuse with 4, show says 5, and wal-fetch says positively that there is nothing", async () => {
    await using directory = await temporaryDirectory();
    const { pgdata, flags } = await place(directory.path);
    await ran(["init", "-D", pgdata, ...flags]);
    expect(JSON.parse((await ran(["list", "--json", ...flags])).stdout)).toMatchObject({
      cluster: "main",
      lives: [{ backups: [] }],
    });
    expect((await ran(["plan", ...flags])).code).toBe(4);
    const restore = await ran(["restore", join(directory.path, "clone"), "--json", ...flags]);
    expect(restore.code).toBe(4);
    expect(JSON.parse(restore.stdout)).toMatchObject({
      plan: { kind: "refusal", reason: "no-backup" },
      restored: null,
    });
    expect((await ran(["show", "x", ...flags])).code).toBe(5);
    const fetched = await ran(["wal-fetch", "000000010000000000000001", join(directory.path, "x"), ...flags], {
      cwd: pgdata,
    });
    expect(fetched).toEqual({ code: 1, stdout: "", stderr: "" });
    expect((await readdir(directory.path)).includes("clone")).toBe(false);
  });
});
