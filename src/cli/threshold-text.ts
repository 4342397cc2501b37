import { formatBytes } from "../format.ts";
import { MEASURE_NAMES, MEASURES } from "../status/measures.ts";
import type { MeasureSpec } from "../status/measures.ts";

/** The measures that can have thresholds, for the help of `status`: a line each, and one of how they are written. */
export function thresholdHelp(): string {
  const width = Math.max(...MEASURE_NAMES.map((name) => name.length));
  const lines = MEASURE_NAMES.map((name) => {
    const spec: MeasureSpec = MEASURES[name];
    const defaults = `${thresholdText(spec, spec.warn)} and ${thresholdText(spec, spec.crit)}`;
    const side = spec.alarm === "below" ? "; alarms when it is less" : "";
    return `  ${name.padEnd(width)}  ${spec.meaning} [${spec.warn === undefined ? "off" : defaults}${side}]\n`;
  });
  return `${lines.join("")}  Durations are 26h or 10min, sizes 512MB, and off takes a threshold away. In pgark.yaml: "warn: {backup-age: 26h}".\n`;
}

/** As a user would write it: "26h", "1GB", "100". */
export function thresholdText({ unit }: MeasureSpec, value: number | undefined): string {
  if (value === undefined) return "off";
  if (unit === "count") return String(value);
  if (unit === "size")
    return formatBytes(value)
      .replace(/\.0(?= )/, "")
      .replace(" ", "");
  for (const [name, milliseconds] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
  ] as const) {
    if (value % milliseconds === 0) return `${value / milliseconds}${name}`;
  }
  return `${value / 1000}s`;
}
