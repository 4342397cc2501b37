import { isPgarkError } from "../errors.ts";
import { retry } from "../retry.ts";
import { retriesByItself } from "../storage/open-store.ts";
import type { CommandRun } from "./command.ts";
import { formatSeconds } from "./format.ts";
import { repositoriesOf } from "./settings.ts";

/** PostgreSQL itself comes back after a failed push, within a minute. */
export const PUSH_ATTEMPTS = 3;
/** A failed fetch stops a recovery: worth some half a minute of patience. */
export const FETCH_ATTEMPTS = 8;

/**
 * Works through the moments in which a store does not answer, and says so in the server's log. Drivers of object stores do so
 * themselves.
 */
export async function retryTransient<T>(run: CommandRun, most: number, work: () => Promise<T>): Promise<T> {
  const attempts = repositoriesOf(run.settings).every(retriesByItself) ? 1 : most;
  return retry(work, {
    attempts,
    firstDelayMs: 250,
    maxDelayMs: 8000,
    random: run.io.random,
    sleep: run.io.sleep,
    signal: run.io.signal,
    onRetry: (error, attempt, delayMs) => {
      const problem = error instanceof Error ? error.message : String(error);
      const object = isPgarkError(error) && error.object !== undefined ? { object: error.object } : undefined;
      run.log.warn(`${problem}; attempt ${attempt} of ${attempts}, the next in ${formatSeconds(delayMs)}`, object);
    },
  });
}
