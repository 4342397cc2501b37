import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { projectDirectory } from "../helpers/project.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

/** The beginning of the program, bundled as for an install, with `rest` in place of all that comes after it. */
async function bundleMain(directory: string, rest: string, nodeVersion?: string): Promise<string> {
  const outfile = join(directory, "pgark.cjs");
  await build({
    entryPoints: [join(projectDirectory, "src/cli/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    supported: { "dynamic-import": false },
    define: nodeVersion === undefined ? {} : { "process.versions.node": JSON.stringify(nodeVersion) },
    plugins: [
      {
        name: "rest",
        setup(builder) {
          builder.onLoad({ filter: /\/src\/cli\/run\.ts$/ }, () => ({
            contents: `export async function runCli(io) { ${rest} }`,
            loader: "js",
          }));
        },
      },
    ],
  });
  return outfile;
}

const endings: readonly [string, string][] = [
  ["the rest waits for something that never comes", "await new Promise(() => {});"],
  ["the rest throws", "throw new Error('a secret of the stack');"],
  [
    "something throws where nobody waits",
    "setTimeout(() => { throw new Error('late'); }); await new Promise((r) => setTimeout(r, 5000));",
  ],
  [
    "a promise is rejected where nobody looks",
    "void Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 5000));",
  ],
  ["something that is no error is thrown", "throw undefined;"],
];

describe.each(endings)("when %s", (_name, rest) => {
  test("no command says that it is done, and wal-fetch not that the archive ends", async () => {
    await using directory = await temporaryDirectory();
    const bundle = await bundleMain(directory.path, rest);
    const code = (...argv: string[]): number | null =>
      spawnSync(process.execPath, [bundle, ...argv], { cwd: directory.path }).status;
    expect(code("list")).toBe(1);
    expect(code("wal-push", "x")).toBe(1);
    expect(code("wal-fetch", "x", "y")).toBe(200);
    expect(code("--through-front", "wal-push", "x")).toBe(103);
    expect(code("--through-front", "wal-fetch", "x", "y")).toBe(103);
    expect(code("unknown")).toBe(127);
    await writeFile(join(directory.path, "standby.signal"), "");
    expect(code("--through-front", "wal-fetch", "x", "y")).toBe(103);
  });
});

test("the front gets answers that only pgark gives, everyone else the codes of the table", async () => {
  await using directory = await temporaryDirectory();
  const bundle = await bundleMain(directory.path, "return Number(io.argv.at(-1));");
  const code = (...argv: string[]): number | null => spawnSync(process.execPath, [bundle, ...argv]).status;
  expect([code("wal-fetch", "0"), code("wal-fetch", "1"), code("wal-push", "0")]).toEqual([0, 1, 0]);
  expect([code("--through-front", "wal-fetch", "0"), code("--through-front", "wal-fetch", "1")]).toEqual([100, 101]);
  expect([code("--through-front", "wal-push", "0"), code("--through-front", "wal-push", "1")]).toEqual([100, 103]);
});

test("SIGTERM becomes an abort, and the end of it is the rest's to say", async () => {
  await using directory = await temporaryDirectory();
  const rest = `
    process.kill(process.pid, "SIGTERM");
    await new Promise((resolve) => { const t = setTimeout(() => {}, 20000); io.signal.addEventListener("abort", () => { clearTimeout(t); resolve(); }); });
    return io.stoppedBy() === "SIGTERM" ? 143 : 9;`;
  expect(spawnSync(process.execPath, [await bundleMain(directory.path, rest), "wal-push"]).status).toBe(143);
});

test("a node that is too old is told what to do before anything else is loaded", async () => {
  await using directory = await temporaryDirectory();
  const bundle = await bundleMain(directory.path, "process.stdout.write('loaded');", "22.11.0");
  const ended = spawnSync(process.execPath, [bundle, "wal-fetch", "x", "y"], { cwd: directory.path, encoding: "utf8" });
  expect(ended.status).toBe(200);
  expect(ended.stdout).toBe("");
  expect(ended.stderr).toContain("Node.js 22.11.0");
  expect(ended.stderr).toContain("PGARK_NODE");
});
