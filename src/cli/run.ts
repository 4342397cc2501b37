import type { CommandRun } from "./command.ts";
import { paintFor } from "./colours.ts";
import { commandIn, isMonitoring } from "./command-names.ts";
import type { CommandName } from "./command-names.ts";
import type { CommandSpec } from "./command-spec.ts";
import { EXIT, failureExitCode } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { toJson } from "./json-shapes.ts";
import { createLogger } from "./logger.ts";
import type { Logger, LogLevel } from "./logger.ts";
import { parseCommandLine } from "./parse-command-line.ts";
import { formatError } from "./print-error.ts";
import { createScreen } from "./screen.ts";
import type { Screen } from "./screen.ts";
import { resolveSettings, wantsJsonLog } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { isStandby } from "./standby.ts";

/** How this run writes to stderr; guessed from the command line until the settings are known. */
interface ErrorOutput {
  readonly json: boolean;
  readonly debug: boolean;
}

/** Runs one command line and resolves with its exit code. Never throws: all failures are printed and become a code. */
export async function runCli(io: Io, version: string): Promise<number> {
  const screen = createScreen(io.stderr);
  let output: ErrorOutput = { json: io.argv.includes("--json"), debug: false };
  let logger: Logger | undefined;
  try {
    const line = parseCommandLine(io.argv, version, io.stdout.columns);
    if (line.kind === "print") {
      io.stdout.write(line.text);
      return EXIT.ok;
    }
    const settings = await resolveSettings(line.command.name, line.flags, io);
    output = { json: settings.values.json, debug: settings.values["log-level"] === "debug" };
    logger = makeLogger(line.command.name, settings, io, screen);
    return await runCommand(line.command, { settings, args: line.args, io, log: logger.log, screen, version });
  } catch (error) {
    await logger?.drain();
    const code = failureExitCode(error, {
      command: commandIn(io.argv),
      standby: isStandby(io.cwd),
      monitoring: isMonitoring(io.argv),
      stoppedBy: io.stoppedBy(),
    });
    screen.line(
      formatError(error, code, { json: output.json, stack: output.debug, paint: paintFor(io.stderr, io.env) }),
    );
    return code;
  } finally {
    await logger?.drain();
  }
}

async function runCommand(command: CommandSpec, start: Omit<CommandRun, "print" | "paint">): Promise<number> {
  const { io, settings } = start;
  const { main } = await command.load();
  return main({
    ...start,
    paint: paintFor(io.stdout, io.env),
    async print({ json, text }) {
      io.stdout.write(settings.values.json ? `${toJson(json())}\n` : await text());
    },
  });
}

function makeLogger(command: CommandName, { values }: Settings, io: Io, screen: Screen): Logger {
  const json = wantsJsonLog(values);
  return createLogger({
    level: values["log-level"] ?? defaultLevel(command),
    format: json ? "json" : "text",
    now: io.now,
    write: (text) => screen.line(text),
    paint: json ? (_style, text) => text : paintFor(io.stderr, io.env),
  });
}

/** The stderr of wal-push and wal-fetch is the server's log, where a line for each segment is noise. */
function defaultLevel(command: CommandName): LogLevel {
  return command === "wal-push" || command === "wal-fetch" ? "warn" : "info";
}
