import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { installPgark, runPgark } from "./pgark.ts";
import { temporaryDirectory } from "./temp.ts";

test("an installed pgark has its program, its bundles and its native packages, and runs from anywhere", async () => {
  await using directory = await temporaryDirectory();
  const pgark = await installPgark(join(directory.path, "opt/pgark"));
  expect((await stat(pgark.program)).mode & 0o111).toBe(0o111);
  expect(await readdir(join(pgark.directory, "dist"))).toEqual(expect.arrayContaining(["package.json", "pgark.cjs"]));
  const packages = await readdir(join(pgark.directory, "node_modules"));
  expect(packages).toEqual(expect.arrayContaining(["piscina", "@node-rs", "@noble"]));
  const blake = await readdir(join(pgark.directory, "node_modules/@napi-rs"));
  expect(blake).toEqual(expect.arrayContaining(["blake-hash", expect.stringMatching(/^blake-hash-linux-/)]));
  expect(packages).not.toContain("vitest");

  const { exitCode, stdout, stderr } = await pgark.run(["--help"], { cwd: directory.path });
  expect(stderr).toBe("");
  expect(stdout).toContain("wal-push");
  expect(exitCode).toBe(0);
});

test("a run of pgark reports how it failed instead of throwing", async () => {
  const { exitCode, signal, stderr } = await runPgark(["no-such-command"]);
  expect(signal).toBeNull();
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("no-such-command");
});
