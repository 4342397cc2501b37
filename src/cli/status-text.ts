import { formatBytes, formatCount, formatDuration, formatUtc, plural } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { Assessment } from "../status/assess-status.ts";
import type { Finding } from "../status/finding.ts";
import type { Severity } from "../status/measures.ts";
import { lastArchived, lastBackup, presentLife } from "../status/present-life.ts";
import type { LifeFacts, RetentionOutlook, StatusFacts } from "../status/status-facts.ts";
import type { Paint } from "./colours.ts";
import { formatMoment } from "./format.ts";
import { section, windowLines } from "./plan-text.ts";
import { formatFacts } from "./table.ts";

/** So many stretches of the window of one life are shown; the newest. */
const shownStretches = 20;

const STYLE = { critical: "red", warning: "yellow", info: "dim" } as const satisfies Record<Severity, unknown>;

/** A status for people: what can be restored, how things stand, and what is wrong with what to do about it. */
export function statusText(facts: StatusFacts, assessment: Assessment, paint: Paint): string {
  const life = presentLife(facts);
  const earlier = facts.lives.filter((each) => each !== life).toReversed();
  return [
    `${paint("bold", facts.cluster)} in ${facts.repository}: ${verdict(assessment, paint)}\n`,
    life === undefined ? "" : `${windowText(life, paint)}\n${formatFacts(factsOf(facts, life, assessment), paint)}`,
    ...earlier.map((each) => earlierText(each, paint)),
    findingsText(assessment.findings, paint),
  ].join("");
}

function verdict({ status, findings }: Assessment, paint: Paint): string {
  if (status === "ok") return paint("green", "ok");
  const problems = findings.filter(({ severity }) => severity !== "info");
  return paint(STYLE[status], `${status}, ${plural(problems.length, "problem")}`);
}

function windowText(life: LifeFacts, paint: Paint): string {
  const hidden = life.window.length - shownStretches;
  const lines = windowLines(life.window.slice(-shownStretches));
  const more = hidden > 0 ? [`${plural(hidden, "earlier stretch", "earlier stretches")}: pgark list`] : [];
  return section("can be restored", lines.length === 0 ? ["nothing"] : [...more, ...lines], paint);
}

type Facts = (readonly [name: string, value: string])[];

function factsOf(facts: StatusFacts, life: LifeFacts, { measured }: Assessment): Facts {
  const rows: Facts = [
    ["life", describeLife(facts, life)],
    ["last backup", describeBackup(life, measured["backup-age"])],
  ];
  for (const { label, marker, lastSign } of life.unfinished.filter(({ running }) => running)) {
    const by = typeof marker === "string" ? "" : `, by ${marker.host}`;
    rows.push(["running", `${label}${by}, last heard of at ${formatUtc(lastSign)}`]);
  }
  rows.push(["last WAL", describeWal(life, measured["wal-age"])]);
  rows.push(["PostgreSQL", describeServer(facts, measured["wal-lag"])]);
  if (facts.backlog.known) rows.push(["backlog", describeBacklog(facts.backlog.value.files, measured["backlog-age"])]);
  rows.push(["verified", describeVerify(life)]);
  rows.push(["retention", describeRetention(life.retention)]);
  return rows;
}

function describeLife({ encrypted }: StatusFacts, life: LifeFacts): string {
  const { backups } = life.catalog;
  const stored = backups.reduce((sum, backup) => sum + backup.storedBytes, 0);
  const sealed = encrypted ? "encrypted" : "not encrypted";
  return `${formatIdentity(life.catalog.identity)}, ${plural(backups.length, "backup")}, ${formatBytes(stored)} stored, ${sealed}`;
}

function describeBackup(life: LifeFacts, age: number | undefined): string {
  const backup = lastBackup(life);
  if (backup === undefined) return "none";
  const took = formatDuration(backup.stopTime.getTime() - backup.startTime.getTime());
  const size = `${formatBytes(backup.bytes)}, ${formatBytes(backup.storedBytes)} stored`;
  return `${backup.label}, ended ${formatDuration(age ?? 0)} ago, took ${took}, ${size}`;
}

function describeWal({ catalog }: LifeFacts, age: number | undefined): string {
  const last = lastArchived(catalog);
  if (last === undefined) return "none";
  const segments = catalog.wal.reduce((sum, { first, last: end }) => sum + (end - first + 1n), 0n);
  const name = segmentFileName(last.timeline, last.last, catalog.walSegmentSize);
  return `${name}, ${formatDuration(age ?? 0)} ago; ${formatCount(segments)} segments in all`;
}

function describeServer({ server }: StatusFacts, lag: number | undefined): string {
  if (!server.known) return server.why;
  const { position, timeline, serverVersion, inRecovery, target } = server.value;
  const ahead = lag === undefined ? "" : `, ${formatBytes(lag)} ahead of the repository`;
  const role = inRecovery ? "standby" : "primary";
  return `${serverVersion}, ${role} at ${target}, at ${formatLsn(position)} on timeline ${timeline}${ahead}`;
}

function describeBacklog(files: number, age: number | undefined): string {
  if (files === 0) return "nothing waits to be archived";
  return `${plural(files, "file waits", "files wait")} to be archived, the oldest for ${formatDuration(age ?? 0)}`;
}

function describeVerify({ verified }: LifeFacts): string {
  if (verified === undefined) return "never: pgark verify";
  const { finished, depth, sample, result } = verified;
  const how = depth === "listed" ? "by listing" : `by reading ${sample ?? "everything"}`;
  const outcome = { whole: "whole", faults: plural(verified.faults, "fault"), unknown: "not all of it" }[result];
  return `${formatMoment(finished)}, ${how}: ${outcome}`;
}

function describeRetention(retention: RetentionOutlook | undefined): string {
  if (retention === undefined) return "no policy is set: nothing is ever deleted";
  const { keep, expire, freedBytes, segments, refused } = retention;
  if (refused !== undefined) return refused;
  if (expire === 0 && segments === 0) return `keeps all ${plural(keep, "backup")}`;
  const goes = `${plural(expire, "backup")} and ${plural(segments, "WAL segment")}`;
  return `keeps ${formatCount(keep)} of ${plural(keep + expire, "backup")}; pgark prune would delete ${goes}, ${formatBytes(freedBytes)}`;
}

function earlierText(life: LifeFacts, paint: Paint): string {
  const title = `earlier life ${formatIdentity(life.catalog.identity)}, ${plural(life.catalog.backups.length, "backup")}`;
  const lines = windowLines(life.window.slice(-shownStretches));
  return section(title, lines.length === 0 ? ["nothing of it can be restored"] : lines, paint);
}

function findingsText(findings: readonly Finding[], paint: Paint): string {
  const width = Math.max(0, ...findings.map(({ severity }) => severity.length));
  const lines = findings.map(({ severity, problem, todo }) => {
    const begin = paint(STYLE[severity], severity.padEnd(width));
    return `${begin}  ${problem}\n${" ".repeat(width)}  to do: ${todo}\n`;
  });
  return lines.length === 0 ? "" : `\n${lines.join("")}`;
}
