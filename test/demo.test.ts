import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { plainEnvironment, projectDirectory } from "./helpers/project.ts";
import { temporaryDirectory } from "./helpers/temp.ts";

interface DemoRun {
  readonly code: number | null;
  readonly output: string;
  /** what is left in its temporary directory */
  readonly left: readonly string[];
}

/** Runs the demo as `npm run demo` does; `interruptAt` sends it SIGINT when it has printed this. */
async function runDemo(env: Readonly<Record<string, string>>, interruptAt?: string): Promise<DemoRun> {
  const { path: directory } = await temporaryDirectory("demo");
  const child = spawn(process.execPath, [join(projectDirectory, "demo/demo.ts")], {
    cwd: projectDirectory,
    env: plainEnvironment({ ...env, TMPDIR: directory }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let interrupted = false;
  const collect = (text: string): void => {
    output += text;
    if (interrupted || interruptAt === undefined || !output.includes(interruptAt)) return;
    interrupted = true;
    child.kill("SIGINT");
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, output, left: await readdir(directory) };
}

describe("npm run demo", { timeout: 120_000 }, () => {
  test("fails and names the row when a single row was altered after the restore", async () => {
    const { code, output, left } = await runDemo({ PGARK_DEMO_TAMPER: "1" });
    expect(output).toMatch(/^ {3}transfer \d+: the ledger has ".*", the database has ".*"$/m);
    expect(output).toContain("NOT RESTORED: 1 row differs.");
    expect(code).toBe(1);
    expect(left).toEqual([]);
  });

  test("stops its servers and removes what it made when it is interrupted", async () => {
    const { code, output, left } = await runDemo({}, "A base backup, under load");
    expect(output).toContain("SIGINT: stopping");
    expect(code).toBe(130);
    expect(left).toEqual([]);
    const postgres = /\$ pg_ctl -D (\S+) start/.exec(output)?.[1] ?? "";
    expect(await serversIn(postgres)).toEqual([]);
  });
});

/** Processes that have `directory` on their command line, as a postmaster has its data directory. */
async function serversIn(directory: string): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")));
  return lines.filter((line) => directory !== "" && line.includes(directory));
}
