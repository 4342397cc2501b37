import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmod, cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MINIMUM_NODE } from "../../src/cli/node-version.ts";
import { projectDirectory } from "../helpers/project.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

/** The shells that PostgreSQL's hosts have as /bin/sh; those that this machine lacks are passed over. */
const shells = [
  { name: "dash", command: ["dash"] },
  { name: "bash", command: ["bash", "--posix"] },
  { name: "busybox ash", command: ["busybox", "ash"] },
].map((shell) => ({
  ...shell,
  present: spawnSync(shell.command[0] ?? "", [...shell.command.slice(1), "-c", "exit 7"]).status === 7,
}));

const sh = execFileSync("/bin/sh", ["-c", "command -v sh"], { encoding: "utf8" }).trim();

/** A node that says its version and, run for real, what it was to run, its own options aside; then it ends as `$FAKE_END` says. */
const fakeNode = (version: string): string => `#!${sh}
if [ "$1" = --version ]; then echo ${version}; exit 0; fi
case $1 in --max-semi-space-size=*) shift ;; esac
printf '%s\\n' "$0" "$@"
eval "\${FAKE_END:-exit 0}"
`;

async function program(path: string, text: string): Promise<string> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, text);
  await chmod(path, 0o755);
  return path;
}

/** An install of pgark whose bundle is never really run. */
async function install(directory: string): Promise<string> {
  await mkdir(join(directory, "dist"), { recursive: true });
  await writeFile(join(directory, "dist", "pgark.cjs"), "");
  await mkdir(join(directory, "bin"));
  await cp(join(projectDirectory, "bin", "pgark"), join(directory, "bin", "pgark"));
  return join(directory, "bin", "pgark");
}

interface Ended {
  readonly code: number | null;
  readonly stdout: readonly string[];
  readonly stderr: string;
}

describe.each(shells)("the front under $name", ({ command: [shell = "", ...before], present }) => {
  const resolved = execPath(shell);
  const run = (path: string, args: readonly string[], env: Readonly<Record<string, string>>, cwd = "/"): Ended => {
    const ended = spawnSync(resolved, [...before, path, ...args], {
      cwd,
      env: { PATH: "/nowhere", ...env },
      encoding: "utf8",
    });
    return { code: ended.status, stdout: ended.stdout.split("\n").slice(0, -1), stderr: ended.stderr };
  };

  test.skipIf(!present)("hands over its arguments as they are", async () => {
    await using directory = await temporaryDirectory("pgark front");
    const path = await install(join(directory.path, "in stalled"));
    const node = await program(join(directory.path, "no de"), fakeNode("v24.1.0"));
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
      const node = await program(join(directory.path, "node"), fakeNode("v22.12.0"));
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
    await program(join(old, "node"), fakeNode("v22.11.9"));
    await program(join(other, "node"), `#!${sh}\necho "AX.25 node"\n`);
    await program(join(fit, "node"), fakeNode("v100.0.0"));
    const env = { PATH: `${old}::${other}:${directory.path}:${fit}` };
    expect(run(path, ["list"], env).stdout[0]).toBe(join(fit, "node"));
    await program(join(directory.path, "lib/.bin/node"), fakeNode("v24.0.0"));
    expect(run(path, ["list"], env).stdout[0]).toMatch(/pgark\/bin\/\.\.\/\.\.\/\.bin\/node$/);
    await program(join(directory.path, "lib/pgark/node_modules/.bin/node"), fakeNode("v24.0.0"));
    expect(run(path, ["list"], env).stdout[0]).toMatch(/node_modules\/\.bin\/node$/);
  });

  test.skipIf(!present)("never runs a node that lies in the working directory", async () => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "pgark"));
    await program(join(directory.path, "node"), fakeNode("v24.0.0"));
    expect(run(path, ["wal-fetch", "a", "b"], { PATH: "::" }, directory.path).code).toBe(200);
  });

  test.skipIf(!present)("says which nodes are too old, and what to do", async () => {
    await using directory = await temporaryDirectory();
    const path = await install(join(directory.path, "pgark"));
    const old = await program(join(directory.path, "node"), fakeNode("v20.20.2"));
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
      const node = await program(join(directory.path, "bin/node"), fakeNode("v24.0.0"));
      if (standby) await writeFile(join(directory.path, "standby.signal"), "");
      expect(run(path, [command, "a", "b"], { PGARK_NODE: node, ...more }, directory.path).code).toBe(code);
      // Misplaced options do not hide which command was meant.
      expect(run(path, ["--json", command, "a"], { PGARK_NODE: node, ...more }, directory.path).code).toBe(code);
    });
  });

  test.skipIf(!present)("a broken install stops a recovery too", async () => {
    await using directory = await temporaryDirectory();
    const path = await program(
      join(directory.path, "bin/pgark"),
      await readFile(join(projectDirectory, "bin/pgark"), "utf8"),
    );
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
    const node = await program(join(directory.path, "node"), fakeNode("v24.0.0"));
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
    const node = await program(join(directory.path, "node"), fakeNode("v24.0.0"));
    const marker = join(directory.path, "ended");
    const child = spawn(resolved, [...before, path, "wal-push", "a"], {
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

function execPath(shell: string): string {
  return spawnSync("/bin/sh", ["-c", `command -v ${shell}`], { encoding: "utf8" }).stdout.trim();
}
