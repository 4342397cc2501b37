import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { open, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { isAlive, readPostmaster } from "../postgres/postmaster-file.ts";
import { giveUpOtherWords, isAnswered } from "../spool/session.ts";
import type { SessionOptions } from "../spool/session.ts";
import { makePrivateFolder, spoolFolder } from "../spool/spool-folder.ts";
import type { SpoolRole } from "../spool/spool-folder.ts";
import { commandIn } from "./command-names.ts";
import type { CommandRun } from "./command.ts";
import { configSearchPath } from "./config-file.ts";

/** A log that has grown to this is put aside, in place of the one that was put aside before. */
const largestLog = 1024 * 1024;

/**
 * The session of the spool that this run belongs to. Undefined where there is none: without the front, without a living
 * postmaster in the working directory (pg_rewind, a person at the keyboard elsewhere), or with `--spool off`.
 */
export function sessionOf(run: CommandRun, role: SpoolRole): SessionOptions | undefined {
  const { settings, io } = run;
  const { spool } = settings.values;
  const words = io.env["PGARK_FRONT_WORDS"];
  if (words === undefined || words.includes("\n") || spool === "off") return undefined;
  const pgdata = realpathSync(io.cwd);
  const postmaster = readPostmaster(pgdata);
  if (postmaster === undefined || !isAlive(postmaster)) return undefined;
  const { configFile } = settings;
  return { role, pgdata, postmaster, spool: spoolFolder(spool, pgdata), words, configFile, configuredAt: io.startedAt };
}

/**
 * Starts the background process of a session, unless one is there that works for the same words. Never fails the caller, whose
 * own work is done: without the process all is only slower.
 */
export async function startBackground(
  run: CommandRun,
  session: SessionOptions,
  command: readonly string[],
): Promise<void> {
  try {
    await giveUpOtherWords(session);
    if (await isAnswered(session, run.io.now())) return;
    await makePrivateFolder(session.spool);
    const log = await openLog(join(session.spool, `${session.role}.log`));
    try {
      await detach(run, command, log.fd);
    } finally {
      await log.close();
    }
  } catch (error) {
    run.log.warn("no background process could be started; one file at a time is archived or fetched meanwhile", {
      error,
    });
  }
}

/**
 * In a process group of its own, so that signals to PostgreSQL's do not reach it, and with none of PostgreSQL's pipes, which
 * would be kept open. Its parent is a shell that always ends with 0: where PostgreSQL is the first process of a container it
 * inherits orphans, and up to version 17 it takes one that a signal has killed for a crashed backend of its own
 * (CleanupBackend in postmaster.c).
 */
async function detach(run: CommandRun, command: readonly string[], log: number): Promise<void> {
  const { io } = run;
  const program = join(io.install, "dist", "pgark.cjs");
  const child = spawn(
    "/bin/sh",
    [
      "-c",
      '"$@"; exit 0',
      "pgark",
      process.execPath,
      "--max-semi-space-size=1",
      "--single-threaded-gc",
      program,
      ...command,
      ...flagsOf(run),
    ],
    { cwd: io.cwd, detached: true, stdio: ["ignore", log, log] },
  );
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.unref();
}

/** The flags of this run: what is left of its command line without the command and its arguments. */
function flagsOf(run: CommandRun): readonly string[] {
  const flags = [...run.io.argv];
  for (const word of [commandIn(flags), ...run.args]) {
    const index = word === undefined ? -1 : flags.indexOf(word);
    if (index >= 0) flags.splice(index, 1);
  }
  return flags;
}

async function openLog(path: string): ReturnType<typeof open> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > largestLog) await rename(path, `${path}.1`).catch(() => undefined);
  return open(path, "a", 0o600);
}

/** Tells whether the program and its configuration are still those that this process was started with. */
export async function watchForChanges(run: CommandRun): Promise<() => Promise<boolean>> {
  const { io, settings } = run;
  const files = [
    join(io.install, "dist", "pgark.cjs"),
    ...(settings.configFile === undefined ? configSearchPath(io) : [settings.configFile]),
  ];
  const look = async (): Promise<string> => {
    const times = files.map(async (file) => {
      const found = await stat(file).catch(() => undefined);
      return found === undefined ? "" : `${found.ino} ${found.mtimeMs} ${found.size}`;
    });
    return (await Promise.all(times)).join("\n");
  };
  const begun = await look();
  return async () => (await look()) === begun;
}
