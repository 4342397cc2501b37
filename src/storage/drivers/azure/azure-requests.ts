import { setTimeout as delay } from "node:timers/promises";
import { isPgarkError, throwIfAborted } from "../../../errors.ts";
import { retry } from "../../../retry.ts";
import { azureError } from "./azure-errors.ts";
import type { AzureTuning } from "./azure-tuning.ts";

/** A service that asks for more patience than this gets an impatient client. */
const longestRetryAfterMs = 60_000;

/** What a request is for, as errors tell it. */
export interface AzureRequest {
  readonly operation: string;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
}

/** Makes requests: typed errors, and tried again, with pauses, while that can help. */
export class AzureRequests {
  readonly #tuning: AzureTuning;

  constructor(tuning: AzureTuning) {
    this.#tuning = tuning;
  }

  /** `work` must be harmless to repeat and reads the whole answer: a body that breaks off is asked for again. */
  async run<T>(request: AzureRequest, work: () => Promise<T>): Promise<T> {
    const { operation, key, signal } = request;
    let asked = 0;
    return retry(
      async () => {
        throwIfAborted(signal, operation);
        try {
          return await work();
        } catch (error) {
          throw azureError(operation, key, error, signal);
        }
      },
      {
        ...this.#tuning,
        signal,
        onRetry: (error) => {
          asked = Math.min(retryAfterMs(error), longestRetryAfterMs);
        },
        sleep: async (milliseconds) => {
          await delay(Math.max(milliseconds, asked), undefined, { signal }).catch(() => undefined);
        },
      },
    );
  }
}

function retryAfterMs(error: unknown): number {
  const asked = isPgarkError(error) ? error.facts?.["retryAfterMs"] : undefined;
  return typeof asked === "number" ? asked : 0;
}

/** A signal as the SDK takes it. */
export function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
