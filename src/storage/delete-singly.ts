import { isPgarkError, throwIfAborted } from "../errors.ts";
import type { PgarkError } from "../errors.ts";
import type { SignalOption } from "./object-store.ts";
import { isRefusal } from "./undeleted.ts";

/** Single deletions on their way at a time, where there are no batches. */
const lanes = 16;

export interface DeleteSinglyOptions extends SignalOption {
  /** takes the keys that the store refuses to delete, with its word on each */
  readonly refusals: Map<string, PgarkError>;
  readonly deleteOne: (key: string, signal: AbortSignal) => Promise<void>;
}

/** Deletes objects one by one, some at a time. A failure that is not about one object alone ends all of it. */
export async function deleteSingly(keys: readonly string[], options: DeleteSinglyOptions): Promise<void> {
  const { refusals, deleteOne } = options;
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  const rest = keys.values();
  const lane = async (): Promise<void> => {
    for (const key of rest) {
      try {
        await deleteOne(key, signal);
      } catch (error) {
        if (isPgarkError(error, "not-found")) continue;
        if (!isRefusal(error)) throw error;
        refusals.set(key, error);
      }
    }
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: Math.min(lanes, keys.length) }, () =>
      lane().catch((error: unknown) => {
        failed.abort(error); // the others need not go on
        throw error;
      }),
    ),
  );
  if (outcomes.every(({ status }) => status === "fulfilled")) return;
  throwIfAborted(options.signal, "delete object");
  throw failed.signal.reason;
}
