import { parseArgs } from "node:util";
import { disposeEverything } from "../test/helpers/cleanup.ts";

export interface BenchSize {
  readonly rounds: number;
  /** of pgbench */
  readonly scale: number;
}

/**
 * Runs a bench with what the command line says of its size. A signal ends it as a failure does: what was started is stopped,
 * what was made is removed.
 */
export async function runBench(defaults: BenchSize, bench: (size: BenchSize) => Promise<void>): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: "string" }, scale: { type: "string" } } });
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => reject(new Error(signal)));
  });
  try {
    const size = {
      rounds: Number(values.rounds ?? defaults.rounds),
      scale: Number(values.scale ?? defaults.scale),
    };
    await Promise.race([bench(size), stopped]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await disposeEverything();
  }
}
