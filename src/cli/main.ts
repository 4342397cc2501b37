/**
 * Where the program begins. Small on purpose: it must run, and say what is wrong, on a node that is too old for the rest, and
 * it must not end with an exit code that PostgreSQL would read as an answer, whatever happens to the rest.
 */
import { commandIn, isMonitoring } from "./command-names.ts";
import { enableCompileCache } from "./compile-cache.ts";
import { failureExitCode, FRONT_ANSWER, frontAnswer } from "./exit-codes.ts";
import { isFitNode, unfitNodeMessage } from "./node-version.ts";
import { isStandby } from "./standby.ts";
import { watchStopSignals } from "./stop-signals.ts";
import type { StopSignals } from "./stop-signals.ts";

const FRONT_FLAG = "--through-front";

function main(): void {
  const throughFront = process.argv[2] === FRONT_FLAG;
  const argv = process.argv.slice(throughFront ? 3 : 2);
  const command = commandIn(argv);
  const monitoring = isMonitoring(argv);
  const exitCode = (code: number): number => (throughFront ? frontAnswer(command, code) : code);

  let stoppedBy: StopSignals["stoppedBy"] = () => undefined;
  const failure = (error?: unknown): number =>
    exitCode(failureExitCode(error, { command, standby: isStandby("."), monitoring, stoppedBy: stoppedBy() }));

  // Node ends with 0 when nothing is left to do, also when that is a bug: 0 must be earned.
  process.exitCode = failure();
  if (!isFitNode(process.versions.node)) {
    // The front then looks for another one, and says what there is to say when there is none.
    if (throughFront) {
      process.exitCode = FRONT_ANSWER.unfitNode;
      return;
    }
    process.stderr.write(unfitNodeMessage(process.versions.node, process.execPath));
    return;
  }
  const crash = (error: unknown): void => {
    const debug = argv.includes("debug") || process.env["PGARK_LOG_LEVEL"] === "debug";
    const text = error instanceof Error ? (debug ? error.stack : error.message) : String(error);
    process.stderr.write(`pgark: this is a bug in pgark: ${text}\n`);
    process.exit(failure(error));
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  const stop = watchStopSignals({
    on: (signal, listener) => void process.on(signal, listener),
    now: () => performance.now(),
    exit: (code) => process.exit(exitCode(code)),
  });
  ({ stoppedBy } = stop);
  enableCompileCache(process.env);
  // An answer may still wait for who reads it: a pipe takes 64 kB at a time.
  const exit = (code: number): void => void process.stdout.write("", () => process.exit(exitCode(code)));
  void start(argv, stop).then(exit, crash);
}

async function start(argv: readonly string[], stop: StopSignals): Promise<number> {
  const program = await import("./start.ts");
  return program.start(argv, stop);
}

main();
