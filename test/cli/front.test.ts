import { spawn } from "node:child_process";
import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MINIMUM_NODE } from "../../src/cli/node-version.ts";
import { projectDirectory } from "../helpers/project.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { type Ended, fakeNode, installFront as install, runFront, shellProgram, shells } from "./front-fixture.ts";

describe.each(shells)("the front under $name", (shell) => {
  const { present } = shell;
  const run = (path: string, args: readonly string[], env: Readonly<Record<string, string>>, cwd?: string): Ended =>
    runFront(shell, path, args, env, cwd);

  test.skipIf(!present)("hands over its arguments as they are", async () => {
    await using directory = await temporaryDirectory("pgark front");
    const path = await install(join(directory.path, "in stalled"));
    const node = await shellProgram(join(directory.path, "no de"), fakeNode("v24.1.0"));
    const args = ["list", "a b", "", "*", "$HOME", "--x=y"];
    const ended = run(path, args, { PGARK_NODE: node });
    expect(ended).toEqual({
      code: 0,
      stdout: [node, `${directory.path}/in stalled/bin/../dist/pgark.cjs`, ...args],
      stderr: "",
    });
  });

  test.skipIf(!present)(
    "finds its install behind absolute and relative links, with no other program than readlink",
    async () => {
      await using directory = await temporaryDirectory("pgark front");
      await install(join(directory.path, "lib/node_modules/pgark"));
      const bin = join(directory.path, "bin");
      await mkdir(bin);
      await symlink("../lib/node_modules/pgark/bin/pgark", join(bin, "pgark"));
      await symlink(join(bin, "pgark"), join(directory.path, "pgark2"));
      const node = await shellProgram(join(directory.path, "node"), fakeNode("v22.12.0"));
      const env = { PGARK_NODE: node, PATH: "/usr/bin:/bin" };
      for (const path of [join(bin, "pgark"), join(directory.path, "pgark2"), "./pgark2", "pgark2"]) {
        const ended = run(path, ["list"], env, directory.path);
        expect(ended.code).toBe(0);
        expect(ended.stdout[1]).toMatch(/lib\/node_modules\/pgark\/bin\/\.\.\/dist\/pgark\.cjs$/);
      }
    },
  );

  test.skipIf(!present)("takes the node beside the install, else the first fit one on PATH", async () => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "lib/pgark"));
    const [old, other, fit] = [join(directory.path, "old"), join(directory.path, "other"), join(directory.path, "fit")];
    await shellProgram(join(old, "node"), fakeNode("v22.11.9"));
    await shellProgram(join(other, "node"), `echo "AX.25 node"\n`);
    await shellProgram(join(fit, "node"), fakeNode("v100.0.0"));
    const env = { PATH: `${old}::${other}:${directory.path}:${fit}` };
    expect(run(path, ["list"], env).stdout[0]).toBe(join(fit, "node"));
    await shellProgram(join(directory.path, "lib/.bin/node"), fakeNode("v24.0.0"));
    expect(run(path, ["list"], env).stdout[0]).toMatch(/pgark\/bin\/\.\.\/\.\.\/\.bin\/node$/);
    await shellProgram(join(directory.path, "lib/pgark/node_modules/.bin/node"), fakeNode("v24.0.0"));
    expect(run(path, ["list"], env).stdout[0]).toMatch(/node_modules\/\.bin\/node$/);
  });

  test.skipIf(!present)("never runs a node that lies in the working directory", async () => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "pgark"));
    await shellProgram(join(directory.path, "node"), fakeNode("v24.0.0"));
    expect(run(path, ["wal-fetch", "a", "b"], { PATH: "::" }, directory.path).code).toBe(200);
  });

  test.skipIf(!present)("says which nodes are too old, and what to do", async () => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "pgark"));
    const old = await shellProgram(join(directory.path, "node"), fakeNode("v20.20.2"));
    const onPath = run(path, ["list"], { PATH: directory.path });
    expect(onPath.code).toBe(127);
    expect(onPath.stderr).toContain(`no Node.js ${MINIMUM_NODE} or newer was found (${old} is v20.20.2)`);
    expect(onPath.stderr).toContain("HINT: ");
    const named = run(path, ["list"], { PGARK_NODE: old });
    expect(named.code).toBe(127);
    expect(named.stderr).toContain(`PGARK_NODE is "${old}", which is v20.20.2`);
  });

  const failures: readonly [string, Readonly<Record<string, string>>][] = [
    ["no node is found", { PGARK_NODE: "/nowhere/node" }],
    ["a module is missing, or the install is half replaced (node says 1)", { FAKE_END: "exit 1" }],
    ["node has nothing left to do (it says 0)", { FAKE_END: "exit 0" }],
    ["memory is used up (node aborts)", { FAKE_END: "kill -ABRT $$" }],
    ["the kernel kills node", { FAKE_END: "kill -KILL $$" }],
    ["the configuration is wrong", { FAKE_END: "exit 2" }],
    ["it could not find out", { FAKE_END: "exit 200" }],
  ];

  describe.each(failures)("when %s", (_name, more) => {
    test.skipIf(!present).each([
      ["wal-fetch stops an archive recovery", "wal-fetch", false, 200],
      ["wal-fetch does not stop a standby", "wal-fetch", true, 2],
      ["wal-push says 1", "wal-push", false, 1],
    ])("%s", async (_title, command, standby, code) => {
      await using directory = await temporaryDirectory();
      const path = await install(join(directory.path, "pgark"));
      const node = await shellProgram(join(directory.path, "bin/node"), fakeNode("v24.0.0"));
      if (standby) await writeFile(join(directory.path, "standby.signal"), "");
      expect(run(path, [command, "a", "b"], { PGARK_NODE: node, ...more }, directory.path).code).toBe(code);
      // Misplaced options do not hide which command was meant.
      expect(run(path, ["--json", command, "a"], { PGARK_NODE: node, ...more }, directory.path).code).toBe(code);
    });
  });

  test.skipIf(!present)("a broken install stops a recovery too", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "bin/pgark");
    await cp(join(projectDirectory, "bin/pgark"), path);
    const ended = run(path, ["wal-fetch", "a", "b"], { PGARK_NODE: process.execPath });
    expect(ended.code).toBe(200);
    expect(ended.stderr).toContain("is missing");
  });

  test.skipIf(!present).each([
    ["wal-push", 100, 0],
    ["wal-fetch", 100, 0],
    ["wal-fetch", 101, 1],
    ["wal-push", 101, 1],
    ["wal-fetch", 143, 143],
    ["wal-fetch", 130, 130],
  ])("%s: the answer %i becomes %i", async (command, answer, code) => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "pgark"));
    const node = await shellProgram(join(directory.path, "node"), fakeNode("v24.0.0"));
    const ended = run(path, [command, "a", "b c"], { PGARK_NODE: node, FAKE_END: `exit ${answer}` });
    expect(ended.code).toBe(code);
    expect(ended.stdout.slice(2)).toEqual(["--through-front", command, "a", "b c"]);
  });

  test.skipIf(!present).each([
    ["exit 143", 143],
    ["exit 100", 0],
    ["exit 1", 143],
  ])("a SIGTERM to the front alone reaches node, whose end (%s) is waited for", async (end, code) => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "pgark"));
    const node = await shellProgram(join(directory.path, "node"), fakeNode("v24.0.0"));
    const marker = join(directory.path, "ended");
    const [program, ...options] = shell.command;
    const child = spawn(program, [...options, path, "wal-push", "a"], {
      env: {
        PATH: "/usr/bin:/bin",
        PGARK_NODE: node,
        FAKE_END: `trap 'echo > "${marker}"; ${end}' TERM; echo ready; while :; do sleep 0.01; done`,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    let heard = "";
    child.stdout.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard.includes("ready")) child.kill("SIGTERM");
    });
    expect(await ended).toBe(code);
    expect(existsSync(marker)).toBe(true);
  });
});
