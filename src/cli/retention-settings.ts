import { PgarkError } from "../errors.ts";
import { backupSilenceMs } from "../repository/heartbeat.ts";
import type { RetentionPolicy } from "../retention/policy.ts";
import type { OptionValues } from "./options.ts";

/** The retention policy that the settings say; it may be empty. */
export function policyOf(values: OptionValues): RetentionPolicy {
  return {
    keepLast: values["keep-last"],
    keepWithinMs: values["keep-within"],
    keepDaily: values["keep-daily"],
    keepWeekly: values["keep-weekly"],
    keepMonthly: values["keep-monthly"],
    keepYearly: values["keep-yearly"],
  };
}

/** A backup gives itself up after half of it without contact to the repository. */
const leastGraceMs = 2 * backupSilenceMs;

/** How long a writer may be silent before it counts as gone, in milliseconds. */
export function graceOf(values: OptionValues): number {
  const graceMs = values["abandoned-after"];
  if (graceMs >= leastGraceMs) return graceMs;
  throw new PgarkError("usage", "abandoned-after is shorter than two hours", {
    operation: "read option",
    object: "abandoned-after",
    hint: "a backup that is being taken may be silent for an hour when the repository does not answer",
  });
}
