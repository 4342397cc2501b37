import { formatCount, formatDuration, formatUtc, plural } from "../format.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { segmentFileName, segmentStart } from "../postgres/wal-file-name.ts";
import type { Finding } from "./finding.ts";
import { severityOf } from "./measures.ts";
import type { Measured, Severity, Thresholds } from "./measures.ts";
import { lastBackup, newestStretch } from "./present-life.ts";
import type { HoleFacts, LifeFacts } from "./status-facts.ts";

/** So many holes of one life get a line of their own. */
const namedHoles = 20;

/** What is wrong with what the repository holds of one life. */
export function assessLife(life: LifeFacts, present: boolean): readonly Finding[] {
  return [
    ...assessBackups(life, present),
    ...assessNewest(life, present),
    ...assessHoles(life),
    ...assessVerify(life),
    ...assessRetention(life),
  ];
}

/** Of the present life alone: what is old or short. */
export function assessAges(life: LifeFacts, measured: Measured, thresholds: Thresholds): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (code: Finding["code"], name: keyof Measured, problem: (value: string) => string, todo: string): void => {
    const severity = severityOf(name, measured[name], thresholds);
    if (severity === undefined) return;
    const value = formatDuration(measured[name] ?? 0);
    findings.push({ ...about(life), code, severity, object: undefined, problem: problem(value), todo });
  };
  const label = lastBackup(life)?.label ?? "";
  add(
    "backup-old",
    "backup-age",
    (age) => `the last backup, ${label}, ended ${age} ago`,
    "take one with pgark backup and see why its schedule did not; where backups are rarer on purpose, set warn and crit of backup-age",
  );
  add(
    "window-short",
    "window",
    (length) => `the newest moments that can be restored without a gap reach back only ${length}`,
    "look for holes above, and at what pgark prune lets go",
  );
  add(
    "verify-old",
    "verify-age",
    (age) =>
      life.verified === undefined ? `nothing was verified in ${age}` : `the last pgark verify ended ${age} ago`,
    "run pgark verify, and give it a schedule",
  );
  return findings;
}

function assessBackups(life: LifeFacts, present: boolean): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (finding: Omit<Finding, "identity">): void => void findings.push({ ...finding, ...about(life) });
  const last = lastBackup(life);
  if (last === undefined && present) {
    add({
      code: "no-backup",
      severity: "critical",
      object: undefined,
      problem: "there is no complete backup, so nothing can be restored",
      todo: "take one with pgark backup",
    });
  }
  for (const { label, problem } of life.damaged) {
    add({
      code: "backup-damaged",
      severity: "warning",
      object: label,
      problem: `the record of backup ${label} cannot be used: ${problem}`,
      todo: "put its backup.json back from a copy of the repository; if there is none, delete what is left with pgark delete",
    });
  }
  if (last !== undefined && last.badPages > 0) {
    add({
      code: "backup-bad-pages",
      severity: "warning",
      object: last.label,
      problem: `${plural(last.badPages, "page")} of the last backup, ${last.label}, had a wrong checksum in the cluster itself`,
      todo: "its manifest names them; see to the disk of the server, and compare with an older backup",
    });
  }
  for (const backup of life.unfinished.filter(({ running }) => !running)) {
    add({
      code: "backup-abandoned",
      severity: "info",
      object: backup.label,
      problem: `backup ${backup.label} was given up or is being deleted; last heard of at ${formatUtc(backup.lastSign)}`,
      todo: "nothing, if another one followed: pgark prune sweeps it",
    });
  }
  return findings;
}

/** Whether the newest WAL is of any use: only what a backup leads to can be restored. */
function assessNewest(life: LifeFacts, present: boolean): readonly Finding[] {
  const { backups, wal, walSegmentSize } = life.catalog;
  if (backups.length === 0) return [];
  const severity: Severity = present ? "critical" : "warning";
  const todo = "take a backup now with pgark backup; what is missing is named by pgark plan";
  const stretch = newestStretch(life);
  if (stretch === undefined) {
    const problem = `none of ${plural(backups.length, "backup")} can be restored: WAL that each needs is missing`;
    return [{ ...about(life), code: "not-restorable", severity, object: undefined, problem, todo }];
  }
  const newest = wal.at(-1);
  if (newest === undefined || newest.timeline < stretch.timeline) return [];
  const end = segmentStart(newest.last + 1n, walSegmentSize);
  if (newest.timeline === stretch.timeline && stretch.to.lsn + 1n >= end) return [];
  const object = segmentFileName(newest.timeline, newest.last, walSegmentSize);
  const from = stretch.to.time === undefined ? "" : ` after ${formatUtc(stretch.to.time)}`;
  const problem = `what happened${from} cannot be restored: no backup leads to the newest WAL, up to ${object}`;
  return [{ ...about(life), code: "newest-lost", severity, object, problem, todo }];
}

function assessHoles(life: LifeFacts): readonly Finding[] {
  const open = life.holes.filter(({ acknowledged }) => acknowledged === undefined);
  const findings = open.slice(0, namedHoles).map((hole) => describeHole(life, hole));
  const more = open.length - findings.length;
  if (more > 0) {
    findings.push({
      ...about(life),
      code: "hole",
      severity: "warning",
      object: undefined,
      problem: `and ${plural(more, "more hole")} in the WAL`,
      todo: "status --json names them all",
    });
  }
  const known = life.holes.length - open.length;
  if (known > 0) {
    findings.push({
      ...about(life),
      code: "hole-acknowledged",
      severity: "info",
      object: undefined,
      problem: `${plural(known, "hole")} in the WAL, acknowledged`,
      todo: "nothing: moments inside cannot be restored, and somebody said that this is known",
    });
  }
  return findings;
}

function describeHole(life: LifeFacts, hole: HoleFacts): Finding {
  const { walSegmentSize } = life.catalog;
  const name = (segment: bigint): string => segmentFileName(hole.timeline, segment, walSegmentSize);
  const object = name(hole.first);
  const isOne = hole.first === hole.last;
  const range = isOne ? `segment ${object} is` : `segments ${object} to ${name(hole.last)} are`;
  const count = isOne ? "" : ` (${formatCount(hole.last - hole.first + 1n)})`;
  return {
    ...about(life),
    code: "hole",
    severity: "warning",
    object,
    problem: `WAL ${range} missing${count}${lostMoments(life, hole)}`,
    todo:
      `where a server of this cluster still has it: pgark wal-push pg_wal/${object}; ` +
      `where it is gone for good: pgark acknowledge-hole ${object}${isOne ? "" : ` ${name(hole.last)}`}`,
  };
}

/** Between the last moment before the hole and the first one after it, where they have times. */
function lostMoments(life: LifeFacts, hole: HoleFacts): string {
  const size = life.catalog.walSegmentSize;
  const start: Lsn = segmentStart(hole.first, size);
  const end: Lsn = segmentStart(hole.last + 1n, size);
  const leading = life.window.filter(({ timeline }) => timeline >= hole.timeline);
  const before = leading.filter(({ to }) => to.lsn <= start).reduce(latest, undefined);
  const after = leading.filter(({ from }) => from.lsn >= end).reduce(earliest, undefined);
  if (after?.from.time === undefined) return `: nothing on timeline ${hole.timeline} after it can be restored`;
  const until = formatUtc(after.from.time);
  if (before?.to.time === undefined) return `: moments before ${until} cannot be restored`;
  const since = formatUtc(before.to.time);
  return since === until
    ? `: moments around ${until} cannot be restored`
    : `: moments between ${since} and ${until} cannot be restored`;
}

type Stretch = LifeFacts["window"][number];

function latest(best: Stretch | undefined, next: Stretch): Stretch {
  return best === undefined || next.to.lsn > best.to.lsn ? next : best;
}

function earliest(best: Stretch | undefined, next: Stretch): Stretch {
  return best === undefined || next.from.lsn < best.from.lsn ? next : best;
}

function assessVerify(life: LifeFacts): readonly Finding[] {
  const { verified } = life;
  if (verified === undefined || verified.result === "whole") return [];
  const found = verified.examples[0];
  const first = found === undefined ? "" : `, first: ${found.object}: ${found.problem}`;
  const when = formatUtc(verified.finished);
  if (verified.result === "faults") {
    return [
      {
        ...about(life),
        code: "verify-faults",
        severity: "critical",
        object: found?.object,
        problem: `pgark verify found ${plural(verified.faults, "fault")} at ${when}${first}`,
        todo: "run pgark verify again for the list and what is lost by each; take a new backup",
      },
    ];
  }
  return [
    {
      ...about(life),
      code: "verify-unknown",
      severity: "warning",
      object: found?.object,
      problem: `pgark verify could not find out about ${plural(verified.unknown, "object")} at ${when}${first}`,
      todo: "see to the store, then run pgark verify again",
    },
  ];
}

function assessRetention(life: LifeFacts): readonly Finding[] {
  const refused = life.retention?.refused;
  if (refused === undefined) return [];
  return [
    {
      ...about(life),
      code: "retention-refused",
      severity: "warning",
      object: undefined,
      problem: `pgark prune deletes nothing: ${refused}`,
      todo: "pgark prune shows what stands in the way",
    },
  ];
}

function about(life: LifeFacts): Pick<Finding, "identity"> {
  return { identity: life.catalog.identity };
}
