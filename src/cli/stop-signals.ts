import { EXIT } from "./exit-codes.ts";

export type StopSignal = "SIGINT" | "SIGTERM";

export interface StopSignals {
  /** fires with the first signal */
  readonly signal: AbortSignal;
  /** which one it was */
  readonly stoppedBy: () => StopSignal | undefined;
}

export interface StopSources {
  readonly on: (signal: StopSignal, listener: () => void) => void;
  /** milliseconds of any clock */
  readonly now: () => number;
  /** ends the process on the spot */
  readonly exit: (code: number) => void;
}

/** A signal to the process group comes a second time through the front; that close together they are one. */
const SAME_SIGNAL_MS = 1000;

/** The first SIGINT or SIGTERM asks for a clean end; another one, later, does not wait for it. */
export function watchStopSignals(sources: StopSources): StopSignals {
  const controller = new AbortController();
  let first: { readonly by: StopSignal; readonly at: number } | undefined;
  const heard = (by: StopSignal): void => {
    if (first === undefined) {
      first = { by, at: sources.now() };
      controller.abort(new Error(`stopped by ${by}`));
    } else if (sources.now() - first.at >= SAME_SIGNAL_MS) {
      sources.exit(exitCodeOfSignal(by));
    }
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) sources.on(signal, () => heard(signal));
  return { signal: controller.signal, stoppedBy: () => first?.by };
}

export function exitCodeOfSignal(signal: StopSignal): number {
  return signal === "SIGINT" ? EXIT.interrupted : EXIT.terminated;
}
