import { isPgarkError, PgarkError } from "../errors.ts";
import { isTransient } from "../retry.ts";

/** An object that a store would not delete, and why: a lock, or a permission that is missing. */
export interface Undeleted {
  readonly key: string;
  /** what the store said */
  readonly problem: string;
}

/** Whether a failed deletion is the store's own and final word about this one object, so that others may still go. */
export function isRefusal(error: unknown): error is PgarkError {
  return isPgarkError(error) && !isTransient(error) && error.code !== "aborted";
}

/**
 * Throws, unless nothing was refused, the first refusal with all refused keys in it. For the end of a driver's `delete`, when
 * all that could be deleted is gone.
 */
export function throwUndeleted(refusals: ReadonlyMap<string, PgarkError>): void {
  const [first] = refusals.values();
  if (first === undefined) return;
  const undeleted = Array.from(refusals, ([key, { message }]): Undeleted => ({ key, problem: message }));
  throw new PgarkError(first.code, first.message, {
    operation: first.operation,
    object: first.object,
    hint: first.hint,
    cause: first,
    facts: { ...first.facts, undeleted },
  });
}

/** What the store refused to delete, when this is the error of a `delete` that deleted all the others; else undefined. */
export function undeletedOf(error: unknown): readonly Undeleted[] | undefined {
  if (!isPgarkError(error)) return undefined;
  return error.facts?.["undeleted"] as readonly Undeleted[] | undefined;
}
