/** What can be measured of a cluster and held against thresholds. The names are those of the options. */
export const MEASURES = {
  "backup-age": {
    unit: "duration",
    alarm: "above",
    meaning: "time since the last complete backup ended",
    warn: 26 * 3_600_000,
    crit: 74 * 3_600_000,
  },
  "wal-age": {
    unit: "duration",
    alarm: "above",
    meaning: "time since the last WAL segment came into the repository",
    warn: 24 * 3_600_000,
    crit: 72 * 3_600_000,
  },
  "wal-lag": {
    unit: "size",
    alarm: "above",
    meaning: "WAL that PostgreSQL has written and that is not in the repository (asks the server)",
    warn: 2 ** 30,
    crit: 10 * 2 ** 30,
  },
  backlog: {
    unit: "count",
    alarm: "above",
    meaning: "files that wait to be archived (asks the server, or looks into its data directory)",
    warn: 100,
    crit: 1000,
  },
  "backlog-age": {
    unit: "duration",
    alarm: "above",
    meaning: "how long the oldest of them has waited",
    warn: 10 * 60_000,
    crit: 60 * 60_000,
  },
  window: {
    unit: "duration",
    alarm: "below",
    meaning: "length of the newest stretch of moments that can be restored, without a gap",
    warn: undefined,
    crit: undefined,
  },
  "verify-age": {
    unit: "duration",
    alarm: "above",
    meaning: "time since the last pgark verify",
    warn: undefined,
    crit: undefined,
  },
} as const satisfies Readonly<Record<string, MeasureSpec>>;

export interface MeasureSpec {
  /** of values: milliseconds, bytes, or a number */
  readonly unit: "duration" | "size" | "count";
  /** on which side of a threshold the alarm is */
  readonly alarm: "above" | "below";
  readonly meaning: string;
  /** thresholds unless the user sets others */
  readonly warn: number | undefined;
  readonly crit: number | undefined;
}

export type Measure = keyof typeof MEASURES;

export const MEASURE_NAMES = Object.keys(MEASURES) as readonly Measure[];

/** The value of each measure; undefined where it could not be found out, or where there is nothing to measure. */
export type Measured = Readonly<Record<Measure, number | undefined>>;

/** What a user sets for some measures: a value in its unit, or "off" for no threshold. */
export type ThresholdSettings = Partial<Readonly<Record<Measure, number | "off">>>;

export interface Thresholds {
  readonly warn: Partial<Readonly<Record<Measure, number>>>;
  readonly crit: Partial<Readonly<Record<Measure, number>>>;
  /** those that the user set: that one of these cannot be measured is worth saying */
  readonly wanted: readonly Measure[];
}

export type Severity = "critical" | "warning" | "info";

/** The defaults, with what the user sets over them. */
export function resolveThresholds(warn: ThresholdSettings, crit: ThresholdSettings): Thresholds {
  return {
    warn: withDefaults("warn", warn),
    crit: withDefaults("crit", crit),
    wanted: MEASURE_NAMES.filter((name) => typeof warn[name] === "number" || typeof crit[name] === "number"),
  };
}

function withDefaults(level: "warn" | "crit", settings: ThresholdSettings): Partial<Record<Measure, number>> {
  const thresholds: Partial<Record<Measure, number>> = {};
  for (const name of MEASURE_NAMES) {
    const value = settings[name] ?? MEASURES[name][level];
    if (typeof value === "number") thresholds[name] = value;
  }
  return thresholds;
}

/** How bad a measured value is; undefined when it is fine or not known. */
export function severityOf(name: Measure, value: number | undefined, thresholds: Thresholds): Severity | undefined {
  if (value === undefined) return undefined;
  const isPast = (threshold: number | undefined): boolean =>
    threshold !== undefined && (MEASURES[name].alarm === "above" ? value > threshold : value < threshold);
  if (isPast(thresholds.crit[name])) return "critical";
  return isPast(thresholds.warn[name]) ? "warning" : undefined;
}
