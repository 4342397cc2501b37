/**
 * Runs a command of this project as an ordinary user with a temporary directory of its own, whoever calls.
 *
 * PostgreSQL refuses to run as root, so root hands over to `nobody`. That user cannot read a clone below root's home and must
 * not write into it anywhere, so the project is staged first: its files are copied, node_modules is hard-linked where the
 * file system allows. An ordinary user runs in the project itself. Either way HOME and TMPDIR lie in the run directory, and
 * when the command ends, or a signal ends it, what it left running there is killed and the directory is removed.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { delimiter, dirname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const project = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const run = promisify(execFile);

export const isRoot = process.getuid?.() === 0;

/**
 * @param {object} options
 * @param {string} options.command looked up in PATH, where the project's node_modules/.bin comes first
 * @param {readonly string[]} [options.args]
 * @param {Readonly<Record<string, string | undefined>>} [options.env] on top of the caller's own
 * @param {(directory: string) => Promise<void>} [options.collect] called with the run directory (the command's
 *   PGARK_RUN_DIRECTORY) before it is removed, to fetch results out of it
 * @returns {Promise<number>} the exit code; 128 + n when signal n ended the command
 */
export async function asOrdinaryUser({ command, args = [], env = {}, collect }) {
  const signals = catchSignals();
  const directory = await mkdtemp(join(tmpdir(), "pgark-run-"));
  try {
    await chmod(directory, 0o755);
    const user = isRoot ? await ordinaryUser() : undefined;
    for (const name of ["home", "tmp", "out"]) {
      await mkdir(join(directory, name), { mode: 0o755 });
      if (user !== undefined) await chown(join(directory, name), user.uid, user.gid);
    }
    const cwd = user === undefined ? project : await stage(directory, user);
    const code = await signals.run(user === undefined ? [command, ...args] : [...user.become, command, ...args], {
      cwd,
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        ...process.env,
        ...env,
        PATH: [join(cwd, "node_modules/.bin"), process.env.PATH].join(delimiter),
        HOME: join(directory, "home"),
        TMPDIR: join(directory, "tmp"),
        PGARK_RUN_DIRECTORY: join(directory, "out"),
        ...(user === undefined ? {} : { USER: "nobody", LOGNAME: "nobody" }),
      },
    });
    await collect?.(join(directory, "out"));
    return code;
  } finally {
    await killWhatRunsIn(directory);
    await rm(directory, { recursive: true, force: true, maxRetries: 10 });
    signals.release();
  }
}

async function ordinaryUser() {
  const id = async (flag) => Number((await run("id", [flag, "nobody"])).stdout);
  const [uid, gid] = [await id("-u"), await id("-g")];
  return { uid, gid, become: ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"] };
}

/** Copies the project into `directory`, readable by everybody. Never changes a file that is linked to the original. */
async function stage(directory, user) {
  const staged = join(directory, "pgark");
  await mkdir(staged, { mode: 0o755 });
  for (const file of await projectFiles()) {
    if (existsSync(join(project, file))) await cp(join(project, file), join(staged, file), { recursive: true });
  }
  await run("chmod", ["-R", "a+rX", staged]);

  const [from, to] = [join(project, "node_modules"), join(staged, "node_modules")];
  try {
    if (!(await readableByEverybody(from))) throw new Error("not readable by everybody");
    await run("cp", ["-al", from, to]);
  } catch {
    // Another file system, or a clone made under a strict umask: links would not do.
    await rm(to, { recursive: true, force: true });
    await run("cp", ["-a", from, to]);
    await run("chmod", ["-R", "a+rX", to]);
  }
  await chown(staged, user.uid, user.gid);
  return staged;
}

/** What git tracks or would track, and the bundles; without git, everything but what is never part of the project. */
async function projectFiles() {
  try {
    const list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    // safe.directory: root may work in somebody else's clone.
    const { stdout } = await run("git", ["-c", "safe.directory=*", ...list], { cwd: project, maxBuffer: 64 << 20 });
    return [...stdout.split("\0").filter((file) => file !== ""), "dist"];
  } catch {
    const left = new Set([".git", "node_modules", "coverage"]);
    return (await readdir(project)).filter((name) => !left.has(name));
  }
}

async function readableByEverybody(directory) {
  const unreadable = ["(", "-type", "f", "!", "-perm", "-004", "-o", "-type", "d", "!", "-perm", "-005", ")"];
  const { stdout } = await run("find", [directory, ...unreadable, "-print", "-quit"]);
  return stdout === "";
}

/**
 * From here to `release` a signal ends the command, not us: we still have to tidy up. The command gets a process group of
 * its own, so that Ctrl-C reaches it once, through us; a second one is for the impatient.
 */
function catchSignals() {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"];
  let caught;
  let child;
  const onSignal = (signal) => {
    if (child !== undefined) killGroup(child.pid, caught === undefined ? signal : "SIGKILL");
    caught = signal;
  };
  for (const name of names) process.on(name, onSignal);
  const codeOf = (signal) => 128 + constants.signals[signal];
  return {
    run: ([command, ...args], options) =>
      new Promise((fulfil, reject) => {
        if (caught !== undefined) return fulfil(codeOf(caught));
        child = spawn(command, args, { ...options, detached: true });
        child.on("error", reject);
        child.on("exit", (code, signal) => fulfil(code ?? codeOf(signal)));
      }),
    release() {
      for (const name of names) process.off(name, onSignal);
    },
  };
}

function killGroup(pid, signal) {
  try {
    process.kill(-Number(pid), signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** A server or a background process that a broken test left behind has its working directory in the run directory. */
async function killWhatRunsIn(directory) {
  // Once more after each find: a server whose child dies may just have started others.
  for (let found = true; found;) {
    found = false;
    for (const pid of await readdir("/proc").catch(() => [])) {
      if (!/^\d+$/.test(pid)) continue;
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
      if (!cwd.startsWith(directory + sep)) continue;
      found = true;
      console.error(`killing process ${pid}, which was left behind in ${cwd}`);
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch (error) {
        if (error.code !== "ESRCH") throw error;
      }
    }
    if (found) await delay(20);
  }
}
