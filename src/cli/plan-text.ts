import { formatBytes, plural } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type {
  ReachableMoment,
  RecoveryPlan,
  RecoveryRefusal,
  RecoveryTarget,
  SkippedBackup,
  WindowInterval,
} from "../restore/recovery-plan.ts";
import type { Paint } from "./colours.ts";
import { formatMoment } from "./format.ts";
import { formatFacts } from "./table.ts";

type MomentFormat = (time: Date) => string;

/** A plan, for the person who is to say yes to it. */
export function planText(plan: RecoveryPlan, paint: Paint, moment: MomentFormat = formatMoment): string {
  const { backup } = plan;
  const facts: [string, string][] = [
    ["backup", `${backup.label}, taken ${moment(backup.stopTime)} from ${backup.host}`],
    ["cluster", `PostgreSQL ${backup.serverVersion}, ${formatIdentity(backup.identity)}`],
    ["target", describeTarget(plan.target, moment)],
    ["timelines", plan.path.join(" > ")],
    ["copies", `${formatBytes(plan.bytes)} in ${plural(backup.files, "file")}`],
    ["replays", plural(plan.segments, "WAL segment")],
  ];
  const wal = plan.wal.map((need) => {
    const name = (number: bigint): string => segmentFileName(need.timeline, number, backup.walSegmentSize);
    const count = plural(Number(need.last - need.first + 1n), "segment");
    return `timeline ${need.timeline}: ${name(need.first)} to ${name(need.last)} (${count})`;
  });
  return (
    formatFacts(facts, paint) +
    section("WAL", wal, paint) +
    section("proven", plan.proven, paint) +
    section("not proven", plan.unproven, paint) +
    skippedText(plan.skipped, paint)
  );
}

/** Why not, and what could be done instead. */
export function refusalText(refusal: RecoveryRefusal, paint: Paint, moment: MomentFormat = formatMoment): string {
  const near: string[] = [];
  if (refusal.before !== undefined) near.push(`before it: ${describeMoment(refusal.before, moment)}`);
  if (refusal.after !== undefined) near.push(`after it: ${describeMoment(refusal.after, moment)}`);
  const missing = refusal.missingSegment === undefined ? [] : [refusal.missingSegment];
  const hint = refusal.hint === undefined ? "" : `${paint("bold", "HINT:")} ${refusal.hint}\n`;
  return (
    `${paint("red", "refused:")} ${refusal.message}\n${hint}` +
    section("first missing WAL segment", missing, paint) +
    section("nearest moments that can be restored", near, paint) +
    section("recovery window", windowLines(refusal.window, moment), paint) +
    skippedText(refusal.skipped, paint)
  );
}

type WindowLine = Pick<WindowInterval, "timeline" | "backup"> & { readonly from: StretchEnd; readonly to: StretchEnd };

type StretchEnd = Pick<ReachableMoment, "lsn" | "time">;

/** One line for each stretch that can be restored. */
export function windowLines(window: readonly WindowLine[], moment: MomentFormat = formatMoment): readonly string[] {
  return window.map(
    ({ timeline, from, to, backup }) =>
      `timeline ${timeline}: ${describeStretch(from, moment)} to ${describeStretch(to, moment)}, from backup ${backup}`,
  );
}

export function describeTarget(target: RecoveryTarget, moment: MomentFormat = formatMoment): string {
  switch (target.kind) {
    case "latest":
      return "the end of the archived WAL";
    case "immediate":
      return "the end of the backup, as soon as it is consistent";
    case "time":
      return `time ${moment(target.time)}${exclusive(target.inclusive)}`;
    case "lsn":
      return `LSN ${formatLsn(target.lsn)}${exclusive(target.inclusive)}`;
    case "xid":
      return `transaction ${target.xid}${exclusive(target.inclusive)}`;
    case "name":
      return `restore point "${target.name}"`;
  }
}

/** A title and indented lines below it; nothing at all without lines. Begins with an empty line. */
export function section(title: string, lines: readonly string[], paint: Paint): string {
  if (lines.length === 0) return "";
  return `\n${paint("bold", `${title}:`)}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

function skippedText(skipped: readonly SkippedBackup[], paint: Paint): string {
  return section(
    "backups not used",
    skipped.map(({ label, reason }) => `${label}: ${reason}`),
    paint,
  );
}

function describeMoment(moment: ReachableMoment, format: MomentFormat): string {
  return `${describeStretch(moment, format)} on timeline ${moment.timeline}`;
}

function describeStretch(moment: StretchEnd, format: MomentFormat): string {
  const lsn = formatLsn(moment.lsn);
  return moment.time === undefined ? lsn : `${format(moment.time)}, ${lsn}`;
}

function exclusive(inclusive: boolean): string {
  return inclusive ? "" : ", not including it";
}
