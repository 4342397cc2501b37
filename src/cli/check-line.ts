import type { Assessment } from "../status/assess-status.ts";
import { MEASURE_NAMES, MEASURES } from "../status/measures.ts";
import type { Measure } from "../status/measures.ts";
import type { CHECK_EXIT } from "./exit-codes.ts";

export type CheckStatus = keyof typeof CHECK_EXIT;

/** Critical and warning as they were found; else unknown when something that the user wants watched could not be measured. */
export function checkStatus({ status, unmeasured }: Assessment): CheckStatus {
  return status === "ok" && unmeasured.length > 0 ? "unknown" : status;
}

/** "PGARK WARNING - main: the last backup ... (and 1 more) | backup-age=97200s;93600;266400" */
export function checkLine(cluster: string, assessment: Assessment): string {
  const status = checkStatus(assessment);
  const performance = MEASURE_NAMES.flatMap((name) => performanceOf(name, assessment)).join(" ");
  const summary = oneLine(summaryOf(assessment)).replaceAll("|", "/");
  return `PGARK ${status.toUpperCase()} - ${cluster}: ${summary}${performance === "" ? "" : ` | ${performance}`}\n`;
}

/** What a check says that could not even look. */
export function unknownLine(message: string): string {
  return `PGARK UNKNOWN - ${oneLine(message)}\n`;
}

function summaryOf({ findings, unmeasured }: Assessment): string {
  const problems = findings.filter(({ severity }) => severity !== "info");
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more: pgark status)` : "";
  if (first !== undefined) return `${first.problem}${more}`;
  return unmeasured.length > 0 ? `not known: ${unmeasured.join(", ")}` : "all is well";
}

/** Plugin performance data: value with its unit, then the thresholds. */
function performanceOf(name: Measure, { measured, thresholds }: Assessment): readonly string[] {
  const value = measured[name];
  if (value === undefined) return [];
  const { unit, alarm } = MEASURES[name];
  const scale = unit === "duration" ? 1000 : 1;
  const number = (each: number): string => String(Math.round(each / scale));
  // A threshold of "alarm when below" is written as a range without an upper end.
  const limit = (each: number | undefined): string =>
    each === undefined ? "" : `${number(each)}${alarm === "below" ? ":" : ""}`;
  const suffix = { duration: "s", size: "B", count: "" }[unit];
  return [`${name}=${number(value)}${suffix};${limit(thresholds.warn[name])};${limit(thresholds.crit[name])}`];
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}
