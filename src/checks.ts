import { isPgarkError } from "./errors.ts";

/** One line of `pgark check`: what was looked at, how it stands, and what to do about it. */
export interface CheckResult {
  readonly name: string;
  readonly status: "ok" | "warning" | "failed";
  /** lower case, without a full stop */
  readonly detail: string;
  readonly hint?: string | undefined;
}

export type OnCheck = (result: CheckResult) => void;

/** Thrown inside a check for something that is not as it must be. */
export class CheckFailure extends Error {
  readonly hint: string | undefined;

  constructor(detail: string, hint?: string) {
    super(detail);
    this.hint = hint;
  }
}

/** Does one check and tells of it; false when it failed. */
export async function check(name: string, onCheck: OnCheck, work: () => Promise<string>): Promise<boolean> {
  try {
    onCheck({ name, status: "ok", detail: await work() });
    return true;
  } catch (error) {
    if (isPgarkError(error, "aborted")) throw error;
    if (error instanceof CheckFailure) onCheck({ name, status: "failed", detail: error.message, hint: error.hint });
    else if (isPgarkError(error)) onCheck({ name, status: "failed", detail: error.message, hint: error.hint });
    else throw error;
    return false;
  }
}
