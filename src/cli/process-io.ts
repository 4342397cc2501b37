import { realpathSync } from "node:fs";
import { availableParallelism, homedir, hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import type { Io, Output } from "./io.ts";
import type { StopSignals } from "./stop-signals.ts";

/** The real process, as the command line sees it. */
export function processIo(argv: readonly string[], stop: StopSignals): Io {
  return {
    argv,
    env: process.env,
    cwd: process.cwd(),
    stdout: output(process.stdout),
    stderr: output(process.stderr),
    now: () => new Date(),
    startedAt: new Date(performance.timeOrigin),
    random: Math.random,
    sleep: async (milliseconds, signal) => {
      try {
        await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
      } catch (error) {
        throw new PgarkError("aborted", "stopped", { operation: "wait", cause: error });
      }
    },
    signal: stop.signal,
    stoppedBy: stop.stoppedBy,
    hostName: hostname(),
    processors: availableParallelism(),
    userId: process.getuid?.(),
    homeDirectory: homeDirectory(),
    install: installDirectory(),
  };
}

/** `<install>/dist/pgark.cjs` is what node was started with. */
function installDirectory(): string {
  const script = process.argv[1] ?? "";
  try {
    return dirname(dirname(realpathSync(script)));
  } catch {
    return dirname(dirname(script));
  }
}

/** A user id that is not in the password file, as containers like to have, has no home. */
function homeDirectory(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}

function output(stream: NodeJS.WriteStream): Output {
  // The reader went away (`pgark list | head`): nothing more needs to be said. An answer that a full disk did not take is
  // a failure. Of stderr's troubles nobody could be told.
  stream.on("error", (error) => {
    if (stream === process.stdout && errnoOf(error) !== "EPIPE") throw error;
  });
  return {
    isTerminal: stream.isTTY ?? false,
    columns: stream.isTTY ? stream.columns : undefined,
    write: (text) => void stream.write(text),
    deliver: (text) =>
      new Promise((resolve, reject) => {
        stream.write(text, (error) => (error ? reject(ioError("write", "standard output", error)) : resolve()));
      }),
    stream,
  };
}
