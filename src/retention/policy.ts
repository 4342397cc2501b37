import { PgarkError } from "../errors.ts";

/**
 * What a user asks to have kept. The rules are a union: what any of them keeps, stays. Where none is set nothing expires.
 * Counts are whole numbers from 1 on. Days, ISO weeks, months and years are those of UTC.
 */
export interface RetentionPolicy {
  /** the newest N backups that can be restored, and all WAL from the oldest of them on */
  readonly keepLast?: number | undefined;
  /** the recovery window in milliseconds: every moment of it stays restorable */
  readonly keepWithinMs?: number | undefined;
  /** the newest backup of each of the last N days that have one; likewise below */
  readonly keepDaily?: number | undefined;
  readonly keepWeekly?: number | undefined;
  readonly keepMonthly?: number | undefined;
  readonly keepYearly?: number | undefined;
}

/** Whether no rule is set, so that everything is kept. */
export function isEmptyPolicy(policy: RetentionPolicy): boolean {
  return Object.values(policy).every((value) => value === undefined);
}

/** Throws `usage` when a rule's value is not one that can be meant: a count of 0 would say "keep none". */
export function checkPolicy(policy: RetentionPolicy): void {
  for (const [rule, value] of Object.entries(policy) as readonly (readonly [string, number | undefined])[]) {
    if (value === undefined || (value >= 1 && Number.isSafeInteger(value))) continue;
    throw new PgarkError("usage", `${value} is not a whole number from 1 on`, {
      operation: "read retention policy",
      object: rule,
      hint: "leave a rule out to do without it; without any rule nothing expires",
    });
  }
}
