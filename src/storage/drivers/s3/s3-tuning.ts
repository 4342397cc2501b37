import { setTimeout as sleep } from "node:timers/promises";

/** How patient the driver is. Everything in here is injected, so that tests wait for nothing. */
export interface S3Tuning {
  /** how often a request is tried at most, the first time included */
  readonly attempts: number;
  /** the pause after the first failure, in milliseconds; each later one is twice as long, and half of it is left to chance */
  readonly firstDelayMs: number;
  /** as `firstDelayMs`, when the store asked us to slow down */
  readonly throttledDelayMs: number;
  readonly maxDelayMs: number;
  /** a `Retry-After` is honoured up to so many milliseconds */
  readonly maxRetryAfterMs: number;
  readonly connectMs: number;
  /** no byte either way for so long, and the connection counts as dead; slow but moving ones are left alone */
  readonly silenceMs: number;
  /** the longest that a request may take until its answer begins, sending included: 16 kB a second for a full part */
  readonly requestMs: number;
  /** a number from 0 up to 1 */
  readonly random: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

export const defaultTuning: S3Tuning = {
  attempts: 8,
  firstDelayMs: 200,
  throttledDelayMs: 1000,
  maxDelayMs: 10_000,
  maxRetryAfterMs: 60_000,
  connectMs: 10_000,
  silenceMs: 60_000,
  requestMs: 9 * 60_000,
  random: Math.random,
  sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }),
};
