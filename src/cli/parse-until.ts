import { isPgarkError, PgarkError } from "../errors.ts";
import { parseRecoveryTarget } from "../restore/recovery-target.ts";
import { parseDuration, ValueError } from "./parse-values.ts";

/** No time that can be written is later. */
const endOfTime = new Date(8.64e15);

/**
 * The moment that `--until` means: a length of time from now (`90d`), a date (its first moment here), or a time as `restore --to`
 * takes it. Throws `usage`, also for a moment that is over.
 */
export function parseUntil(text: string, now: Date): Date {
  const until = readUntil(text.trim(), now);
  if (until > now) return until;
  throw usage(text, `it was read as ${until.toISOString()}, which is over`);
}

function readUntil(text: string, now: Date): Date {
  if (/^\d+(\.\d+)?\s*[A-Za-z]/.test(text)) {
    try {
      return new Date(now.getTime() + parseDuration(text));
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      throw usage(text, error.message);
    }
  }
  const written = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text} 00:00` : text;
  // Words and prefixes mean other targets than times.
  if (!/^\d{4}-/.test(written)) throw usage(text, "not a moment");
  try {
    const target = parseRecoveryTarget(written, { exclusive: false, now: endOfTime });
    if (target.kind === "time") return target.time;
  } catch (error) {
    if (!isPgarkError(error, "usage")) throw error;
    throw usage(text, error.message === "not a recovery target" ? "not a moment" : error.message);
  }
  throw usage(text, "not a moment");
}

function usage(text: string, problem: string): PgarkError {
  return new PgarkError("usage", problem, {
    operation: "read option",
    object: `--until ${text}`,
    hint: "write a length of time, such as 90d, a date, such as 2027-04-01, or a time, such as 2027-04-01T12:00:00Z",
  });
}
