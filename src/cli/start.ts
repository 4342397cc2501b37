import { processIo } from "./process-io.ts";
import { runCli } from "./run.ts";
import type { StopSignals } from "./stop-signals.ts";
import { version } from "./version.ts";

/**
 * The program behind main.ts, in a bundle of its own: the compile cache, which main.ts turns on, helps only what is loaded
 * after it.
 */
export function start(argv: readonly string[], stop: StopSignals): Promise<number> {
  return runCli(processIo(argv, stop), version);
}
