import { formatLsn } from "../postgres/lsn.ts";
import type { RecoveryPlan } from "./recovery-plan.ts";

export interface RecoverySettingsOptions {
  readonly plan: RecoveryPlan;
  readonly restoreCommand: string;
  readonly action: "pause" | "promote" | "shutdown";
  readonly standby: boolean;
  /** whether the restored cluster may go on archiving under its source's name */
  readonly archiving: boolean;
}

/** Settings of an earlier recovery that must not reach into this one (PostgreSQL, "Archive Recovery" and "Recovery Target"). */
const replaced: ReadonlySet<string> = new Set([
  "restore_command",
  "archive_cleanup_command",
  "recovery_end_command",
  "recovery_target",
  "recovery_target_name",
  "recovery_target_time",
  "recovery_target_xid",
  "recovery_target_lsn",
  "recovery_target_inclusive",
  "recovery_target_timeline",
  "recovery_target_action",
]);

/** PostgreSQL takes one of these and does not start with two. */
const targetNames = [
  "recovery_target",
  "recovery_target_name",
  "recovery_target_time",
  "recovery_target_xid",
  "recovery_target_lsn",
] as const;

/** The settings of this recovery, as lines of `postgresql.auto.conf`. */
export function recoverySettings(options: RecoverySettingsOptions): readonly string[] {
  const { plan, standby } = options;
  const settings: [string, string][] = [
    ["restore_command", options.restoreCommand],
    // A standby follows whatever comes; a recovery goes exactly where the plan says.
    ["recovery_target_timeline", standby ? "latest" : targetTimeline(plan)],
  ];
  const target = standby ? [] : targetSettings(options);
  // One that an earlier recovery left in postgresql.conf is unset here. Before ours, for unsetting one unsets them all.
  const set = new Set(target.map(([name]) => name));
  settings.push(...targetNames.filter((name) => !set.has(name)).map((name): [string, string] => [name, ""]), ...target);
  if (!options.archiving) settings.push(["archive_mode", "off"]);
  return settings.map(([name, value]) => `${name} = ${quoteSetting(value)}`);
}

/**
 * The backup's own timeline goes by the name "current": for a number, PostgreSQL wants the timeline's history file, which the
 * archive of a cluster that began to archive after its promotion does not have.
 */
function targetTimeline(plan: RecoveryPlan): string {
  return plan.timeline === plan.backup.timeline ? "current" : String(plan.timeline);
}

function targetSettings(options: RecoverySettingsOptions): [string, string][] {
  const { target } = options.plan;
  const action: [string, string] = ["recovery_target_action", options.action];
  const inclusive = (is: boolean): [string, string] => ["recovery_target_inclusive", is ? "on" : "off"];
  switch (target.kind) {
    case "latest":
      return [];
    case "immediate":
      return [["recovery_target", "immediate"], action];
    case "time":
      return [["recovery_target_time", target.text], inclusive(target.inclusive), action];
    case "lsn":
      return [["recovery_target_lsn", formatLsn(target.lsn)], inclusive(target.inclusive), action];
    case "xid":
      return [["recovery_target_xid", target.xid], inclusive(target.inclusive), action];
    case "name":
      return [["recovery_target_name", target.name], action];
  }
}

/** A value as postgresql.conf wants it (guc-file.l): in single quotes, quotes and backslashes doubled. */
export function quoteSetting(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/**
 * `postgresql.auto.conf` for the restored cluster: what stood there, old recovery settings commented out, then the new ones.
 */
export function rewriteAutoConf(existing: string, lines: readonly string[], header: string): string {
  const set = new Set(lines.map((line) => settingName(line)));
  const kept = existing.split("\n").map((line) => {
    const name = settingName(line);
    return name !== undefined && (replaced.has(name) || set.has(name)) ? `# before the restore: ${line}` : line;
  });
  while (kept.at(-1)?.trim() === "") kept.pop();
  return [...kept, "", `# ${header}`, ...lines, ""].join("\n");
}

function settingName(line: string): string | undefined {
  return /^\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(=|\s)/.exec(line)?.[1]?.toLowerCase();
}
