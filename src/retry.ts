import { isPgarkError } from "./errors.ts";
import type { ErrorCode } from "./errors.ts";

export interface RetryOptions {
  /** how often the work is tried at most, the first time included */
  readonly attempts: number;
  /** the pause after the first failure, in milliseconds; each later one is twice as long */
  readonly firstDelayMs: number;
  /** no pause is longer than this, in milliseconds */
  readonly maxDelayMs: number;
  /** a number from 0 up to 1; spreads the pauses so that many hosts do not come back at once */
  readonly random: () => number;
  /** resolves after so many milliseconds, or rejects when the signal fires */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  /** told of every failure that is followed by another attempt */
  readonly onRetry?: ((error: unknown, attempt: number, delayMs: number) => void) | undefined;
}

/** Failures that may be gone a moment later. All others are final: a retry would only hide them for a while. */
const TRANSIENT: readonly ErrorCode[] = ["unavailable", "throttled"];

/** Whether trying again can help. */
export function isTransient(error: unknown): boolean {
  return isPgarkError(error, ...TRANSIENT);
}

/** The pause before the attempt after number `attempt` (from 1): half of it fixed, half of it by chance. */
export function retryDelayMs(
  attempt: number,
  options: Pick<RetryOptions, "firstDelayMs" | "maxDelayMs" | "random">,
): number {
  const full = Math.min(options.maxDelayMs, options.firstDelayMs * 2 ** (attempt - 1));
  return Math.round(full / 2 + (full / 2) * options.random());
}

/**
 * Does `work`, again while it fails with a transient error and attempts are left. The last error is thrown as it came. An
 * abort ends it at once.
 */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= options.attempts || !isTransient(error) || options.signal?.aborted) throw error;
      const delayMs = retryDelayMs(attempt, options);
      options.onRetry?.(error, attempt, delayMs);
      await options.sleep(delayMs, options.signal);
    }
  }
}
