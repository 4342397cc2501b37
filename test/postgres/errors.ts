import { isPgarkError, type PgarkError } from "../../src/errors.ts";

/** The error that `call` throws, which must be pgark's own. */
export function thrownBy(call: () => unknown): PgarkError {
  try {
    call();
  } catch (error) {
    if (isPgarkError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** The error that `promise` rejects with, which must be pgark's own. */
export async function rejectionOf(promise: Promise<unknown>): Promise<PgarkError> {
  try {
    await promise;
  } catch (error) {
    if (isPgarkError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
