import type { S3Client } from "@aws-sdk/client-s3";
import { isPgarkError, PgarkError } from "../../../errors.ts";
import { retry } from "../../../retry.ts";
import { isExpired, retryAfterMs, s3Error, wasClockCorrected } from "./s3-errors.ts";
import type { S3Tuning } from "./s3-tuning.ts";

export interface S3Call {
  /** as a verb phrase: "write object" */
  readonly operation: string;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
  /** told of every attempt but the first, before it is made */
  readonly onRetry?: (() => void) | undefined;
}

/**
 * Does requests, again while it helps. All of it is here and none in the SDK, whose own retries share a quota among all requests
 * of a client (an outage of a second would use it up), cut a `Retry-After` to five seconds, and know nothing of bodies that
 * break off.
 */
export class S3Caller {
  readonly #client: S3Client;
  readonly #tuning: S3Tuning;

  constructor(client: S3Client, tuning: S3Tuning) {
    this.#client = client;
    this.#tuning = tuning;
  }

  /** Resolves with what `work` does, or throws a typed error. `work` must be fit to be done again. */
  async call<T>(call: S3Call, work: () => Promise<T>): Promise<T> {
    const { operation, key, signal } = call;
    const { attempts, throttledDelayMs, firstDelayMs, maxDelayMs, maxRetryAfterMs, random, sleep } = this.#tuning;
    let failure: unknown;
    let secondChance = true;
    const attempt = async (number: number): Promise<T> => {
      if (number > 1) call.onRetry?.();
      try {
        return await work();
      } catch (error) {
        if (secondChance && (await this.#mend(error))) {
          secondChance = false;
          call.onRetry?.();
          return attempt(1);
        }
        failure = error;
        throw s3Error(operation, key, error);
      }
    };
    try {
      return await retry(attempt, {
        attempts,
        firstDelayMs,
        maxDelayMs,
        random,
        signal,
        sleep: (delayMs, abort) => {
          const slower = isPgarkError(s3Error(operation, key, failure), "throttled")
            ? throttledDelayMs / firstDelayMs
            : 1;
          const asked = Math.min(retryAfterMs(failure) ?? 0, maxRetryAfterMs);
          return sleep(Math.max(Math.min(delayMs * slower, maxDelayMs), asked), abort);
        },
      });
    } catch (error) {
      if (signal?.aborted) throw new PgarkError("aborted", "stopped", { operation, object: key, cause: error });
      throw error;
    }
  }

  /**
   * Whether the cause of a refusal is gone now: the SDK has learnt the store's time from its answer, or a token that expired
   * before its time has been replaced. (It replaces those whose end it knows by itself, five minutes before.)
   */
  async #mend(error: unknown): Promise<boolean> {
    if (wasClockCorrected(error)) return true;
    if (!isExpired(error)) return false;
    try {
      await this.#client.config.credentials({ forceRefresh: true });
      return true;
    } catch {
      return false; // the refusal itself says more than that there is nothing newer
    }
  }
}
