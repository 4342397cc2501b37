import { execFileSync, spawnSync } from "node:child_process";
import { chmod, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { projectDirectory } from "../helpers/project.ts";

export interface Shell {
  readonly name: string;
  /** the absolute path of the shell and its options */
  readonly command: readonly [string, ...string[]];
  readonly present: boolean;
}

/** The shells that PostgreSQL's hosts have as /bin/sh; those that this machine lacks are passed over. */
export const shells: readonly Shell[] = [
  shell("dash", ["dash"]),
  shell("bash", ["bash", "--posix"]),
  shell("busybox ash", ["busybox", "ash"]),
];

function shell(name: string, [program, ...options]: readonly [string, ...string[]]): Shell {
  const present = spawnSync(program, [...options, "-c", "exit 7"]).status === 7;
  return { name, command: [present ? pathOf(program) : program, ...options], present };
}

/** The absolute path of a program. */
export function pathOf(program: string): string {
  return execFileSync("/bin/sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
}

const sh = pathOf("sh");

/** Writes a program in shell; the first line is added. */
export async function shellProgram(path: string, text: string): Promise<string> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, `#!${sh}\n${text}`);
  await chmod(path, 0o755);
  return path;
}

/** A node that says its version; `run`, in shell, is what it does when it is run for real, its own options aside. */
export const fakeNode = (version: string, run = `printf '%s\\n' "$0" "$@"\n`): string => `
if [ "$1" = --version ]; then echo ${version}; exit 0; fi
case $1 in --max-semi-space-size=*) shift ;; esac
${run}
eval "\${FAKE_END:-exit 0}"
`;

/** An install of pgark whose bundle is never really run; resolves with the path of its front. */
export async function installFront(directory: string): Promise<string> {
  await mkdir(join(directory, "dist"), { recursive: true });
  await writeFile(join(directory, "dist", "pgark.cjs"), "");
  await mkdir(join(directory, "bin"));
  await cp(join(projectDirectory, "bin", "pgark"), join(directory, "bin", "pgark"));
  return join(directory, "bin", "pgark");
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: readonly string[];
  readonly stderr: string;
}

/**
 * Runs a front, with no PATH to speak of unless `env` has one. `before`: what its process does, in shell, before it becomes the
 * front.
 */
export function runFront(
  { command }: Shell,
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd = "/",
  before?: string,
): Ended {
  const whole = [...command, path, ...args];
  const [program = "", ...rest] = before === undefined ? whole : [sh, "-c", `${before}; exec "$@"`, "sh", ...whole];
  const ended = spawnSync(program, rest, { cwd, env: { PATH: "/nowhere", ...env }, encoding: "utf8" });
  return { code: ended.status, stdout: ended.stdout.split("\n").slice(0, -1), stderr: ended.stderr };
}
