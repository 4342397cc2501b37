import { formatBytes, plural } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { Catalog } from "../repository/catalog.ts";
import type { UnfinishedBackup } from "../repository/unfinished-backups.ts";
import type { Applied } from "../retention/apply-deletion.ts";
import type { RetentionPlan } from "../retention/retention-plan.ts";
import type { Paint } from "./colours.ts";
import { formatMoment } from "./format.ts";
import { section, windowLines } from "./plan-text.ts";
import type { PrunePlan } from "./prune-life.ts";
import { backupExpireText, keepReasonText, pinText, walExpireText, walKeepText } from "./retention-text.ts";
import { formatTable } from "./table.ts";

/** The plan for one life, for the person who is to say yes to it. */
export function prunePlanText({ life, plan, ...planned }: PrunePlan, paint: Paint): string {
  const { catalog, pins } = life;
  const unknown = plan.unknownPins.map(({ label }) => `${label}: pinned, and there is no such backup`);
  return (
    `${paint("bold", formatIdentity(catalog.identity))}: ${describeFrees(planned)}\n` +
    backupsText(plan, paint) +
    section("WAL", walLines(plan, catalog, paint), paint) +
    section("unfinished backups", [...unfinishedLines(planned)], paint) +
    section("pins", [...pins.map((pin) => `${pin.label}: ${pinText(pin)}`), ...unknown], paint) +
    section("can be restored now", windowLines(planned.windowBefore), paint) +
    section("can be restored afterwards", windowLines(planned.windowAfter), paint)
  );
}

function describeFrees({ frees, abandoned }: Pick<PrunePlan, "frees" | "abandoned">): string {
  if (frees.objects === 0) return "nothing to delete";
  const parts = [
    plural(frees.backups, "backup"),
    plural(frees.segments, "WAL segment"),
    ...(abandoned.length === 0 ? [] : [`the remains of ${plural(abandoned.length, "unfinished backup")}`]),
  ];
  const bytes = `${frees.estimated ? "about " : ""}${formatBytes(frees.bytes)}`;
  return `${parts.join(", ")} to delete: ${bytes} in ${plural(frees.objects, "object")}`;
}

function backupsText(plan: RetentionPlan, paint: Paint): string {
  if (plan.backups.length === 0) return "";
  const rows = plan.backups.map((backup) => [
    backup.verdict === "keep" ? "keep" : paint("red", "delete"),
    backup.record.label,
    formatMoment(backup.record.stopTime),
    String(backup.record.timeline),
    formatBytes(backup.record.storedBytes),
    backup.verdict === "keep" ? backup.reasons.map(keepReasonText).join("; ") : backupExpireText(backup.reason),
  ]);
  const columns = [
    { title: "" },
    { title: "backup" },
    { title: "ended" },
    { title: "timeline", align: "right" },
    { title: "stored", align: "right" },
    { title: "why" },
  ] as const;
  return `\n${formatTable(columns, rows, paint)}`;
}

function walLines({ wal, partials }: RetentionPlan, { walSegmentSize }: Catalog, paint: Paint): readonly string[] {
  const name = (timeline: (typeof wal)[number]["timeline"], segment: bigint): string =>
    segmentFileName(timeline, segment, walSegmentSize);
  const verdictText = (verdict: "keep" | "expire"): string => (verdict === "keep" ? "keep  " : paint("red", "delete"));
  const why = (each: (typeof wal)[number] | (typeof partials)[number]): string =>
    each.verdict === "keep" ? walKeepText(each.reason) : walExpireText(each.reason);
  return [
    ...wal.map((range) => {
      const count = plural(Number(range.last - range.first + 1n), "segment");
      const names = `${name(range.timeline, range.first)} to ${name(range.timeline, range.last)}`;
      return `${verdictText(range.verdict)}  ${names} (${count}): ${why(range)}`;
    }),
    ...partials.map(
      (partial) =>
        `${verdictText(partial.verdict)}  ${name(partial.timeline, partial.segment)}.partial: ${why(partial)}`,
    ),
  ];
}

function* unfinishedLines({ running, abandoned }: Pick<PrunePlan, "running" | "abandoned">): Generator<string> {
  for (const backup of running) {
    yield `${backup.label}: being taken${hostOf(backup)}, last heard of ${formatMoment(backup.lastSign)}; not touched`;
  }
  for (const backup of abandoned) {
    const what = backup.marker === "gone" ? "left by a deletion" : `abandoned${hostOf(backup)}`;
    const size = `${formatBytes(backup.bytes)} in ${plural(backup.objects, "object")}`;
    yield `${backup.label}: ${what}, last heard of ${formatMoment(backup.lastSign)}; its ${size} go`;
  }
}

function hostOf({ marker }: UnfinishedBackup): string {
  return typeof marker === "string" ? "" : ` on ${marker.host}`;
}

/** What became of it. */
export function appliedText(applied: Applied, paint: Paint): string {
  const { erased, stayed, backupsStayed, segmentsSpared, swept, leftovers } = applied;
  const done = [
    `${plural(applied.backups.length, "backup")}, ${plural(applied.segments, "WAL segment")}: ` +
      `${formatBytes(erased.bytes)} in ${plural(erased.objects, "object")}`,
    ...(swept.length === 0 ? [] : [`the remains of ${plural(swept.length, "unfinished backup")}`]),
    ...(leftovers === 0 ? [] : [plural(leftovers, "unfinished upload")]),
  ];
  const kept = [
    ...backupsStayed.map(({ label, why }) => `backup ${label}: ${why}`),
    ...stayed.first.map(({ key, problem }) => `${key}: ${problem}`),
    ...(stayed.count > stayed.first.length ? [`and ${plural(stayed.count - stayed.first.length, "more object")}`] : []),
    ...(segmentsSpared === 0
      ? []
      : [`${plural(segmentsSpared, "WAL segment")}: a backup was begun meanwhile that may need them; run it again`]),
  ];
  return section("deleted", done, paint) + section("not deleted", kept, paint);
}
