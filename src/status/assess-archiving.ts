import { formatBytes, formatDuration, formatUtc, plural } from "../format.ts";
import { formatIdentity, sameIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { Finding } from "./finding.ts";
import { worst } from "./finding.ts";
import { severityOf } from "./measures.ts";
import type { Measure, Measured, Severity, Thresholds } from "./measures.ts";
import { archivedEnd, presentLife, serverOf } from "./present-life.ts";
import type { LifeFacts, ServerFacts, StatusFacts } from "./status-facts.ts";

/** Clocks that are further apart than this make ages and times misleading. */
const tolerableClockMs = 60_000;

/** What is wrong on the way from PostgreSQL to the repository. */
export function assessArchiving(facts: StatusFacts, measured: Measured, thresholds: Thresholds): readonly Finding[] {
  const life = presentLife(facts);
  const server = serverOf(life, facts.server);
  return [
    ...assessAsking(facts),
    ...(server === undefined || life === undefined ? [] : assessServer(life, server)),
    ...assessFlow(facts, measured, thresholds),
    ...assessSeveral(facts),
  ];
}

/** Whether those who were named answered, and are who they should be. */
function assessAsking({ server, backlog, lives, cluster }: StatusFacts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const asked of [server, backlog]) {
    if (asked.known) continue;
    if (!asked.expected && asked.hint === undefined) continue;
    const severity: Severity = asked.expected ? "warning" : "info";
    const todo = asked.hint ?? "see to it, or leave the server out with --store-only";
    findings.push({ code: "not-asked", severity, identity: undefined, object: undefined, problem: asked.why, todo });
  }
  if (!server.known || lives.some(({ catalog }) => sameIdentity(catalog.identity, server.value.identity))) {
    return findings;
  }
  const { identity, target } = server.value;
  findings.push({
    code: "unknown-life",
    severity: "critical",
    identity,
    object: target,
    problem: `the server at ${target} is ${formatIdentity(identity)}, which is no life of cluster "${cluster}"`,
    todo: "after pg_upgrade run pgark init and take a backup; otherwise this is another cluster's server or repository",
  });
  return findings;
}

function assessServer(life: LifeFacts, server: ServerFacts): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (finding: Omit<Finding, "identity" | "object">): void =>
    void findings.push({ ...finding, identity: server.identity, object: server.target });
  if (!server.inRecovery && (server.archiveMode === "off" || server.archiveSet === false)) {
    const isOff = server.archiveMode === "off";
    add({
      code: "archiving-off",
      severity: "critical",
      problem: isOff ? "archive_mode is off: no WAL is archived" : "archive_command is empty: no WAL is archived",
      todo: isOff
        ? "set archive_mode = on and restart PostgreSQL"
        : `set archive_command = 'pgark wal-push "%p"' and reload`,
    });
  }
  if (!server.inRecovery && isAhead(life, server)) {
    const last = life.catalog.wal.at(-1);
    const name = last === undefined ? "" : segmentFileName(last.timeline, last.last, life.catalog.walSegmentSize);
    add({
      code: "repository-ahead",
      severity: "warning",
      problem: `the repository has WAL up to ${name}, but the server is at ${formatLsn(server.position)} on timeline ${server.timeline}`,
      todo: "another server archives, or archived, under this name: find out which of the two is the real one before they conflict",
    });
  }
  if (Math.abs(server.clockAheadMs) > tolerableClockMs) {
    const way = server.clockAheadMs > 0 ? "ahead of" : "behind";
    add({
      code: "clocks-differ",
      severity: "warning",
      problem: `the server's clock is ${formatDuration(Math.abs(server.clockAheadMs))} ${way} this machine's`,
      todo: "set both by NTP: times of backups are by the server's clock, ages are by this one's",
    });
  }
  return findings;
}

function isAhead({ catalog }: LifeFacts, server: ServerFacts): boolean {
  const last = catalog.wal.at(-1);
  if (last !== undefined && last.timeline > server.timeline) return true;
  const end = archivedEnd(catalog, server);
  return end !== undefined && end > server.position;
}

/** One line for whatever holds WAL up, as bad as the worst of what it leads to. */
function assessFlow(facts: StatusFacts, measured: Measured, thresholds: Thresholds): readonly Finding[] {
  const life = presentLife(facts);
  const server = serverOf(life, facts.server);
  const severities = (...names: readonly Measure[]): Severity | undefined =>
    worst(names.map((name) => severityOf(name, measured[name], thresholds)));
  const found = (
    code: Finding["code"],
    severity: Severity,
    problem: string,
    todo: string,
    object?: string,
  ): Finding[] => [{ code, severity, identity: life?.catalog.identity, object, problem, todo }];
  const { taken } = facts;
  if (taken?.same === false) return found("conflict", "critical", ...conflictText(taken), taken.name);
  const failed = server?.archiver.failing ? server.archiver.lastFailed : undefined;
  if (failed !== undefined) {
    const severity = severities("backlog", "backlog-age", "wal-lag", "wal-age") ?? "warning";
    return found("archiving-failing", severity, ...failureText(facts, failed.name, failed.time), failed.name);
  }
  const waiting = severities("backlog", "backlog-age");
  const { backlog } = facts;
  if (waiting !== undefined && backlog.known) {
    const { files, oldest } = backlog.value;
    const age = oldest === undefined ? "" : `, ${oldest.name} for ${formatDuration(measured["backlog-age"] ?? 0)}`;
    return found(
      "backlog",
      waiting,
      `${plural(files, "file waits", "files wait")} to be archived${age}`,
      "see in PostgreSQL's log whether its archiver is at work, and how long each file takes",
      oldest?.name,
    );
  }
  const lagging = severities("wal-lag");
  if (lagging !== undefined) {
    const lag = formatBytes(measured["wal-lag"] ?? 0);
    return found(
      "wal-lag",
      lagging,
      `the repository is ${lag} of WAL behind PostgreSQL`,
      "see whether archiving keeps up: pgark check",
    );
  }
  const old = severities("wal-age");
  if (old === undefined || isQuiet(facts, server)) return [];
  const age = formatDuration(measured["wal-age"] ?? 0);
  const todo =
    server?.archiveTimeoutSeconds === 0
      ? "set archive_timeout = 1min: until a segment is full its changes are in no archive"
      : "see whether the server runs and archives: pgark check; a server that nobody writes to is quiet";
  return found("wal-old", old, `the last WAL segment came ${age} ago`, todo);
}

/** The server says itself that it has nothing to archive. */
function isQuiet({ backlog }: StatusFacts, server: ServerFacts | undefined): boolean {
  if (server === undefined || server.inRecovery || server.archiveMode === "off") return false;
  return server.archiveTimeoutSeconds > 0 && backlog.known && backlog.value.files === 0;
}

function conflictText(taken: NonNullable<StatusFacts["taken"]>): [problem: string, todo: string] {
  return [
    `PostgreSQL cannot archive ${taken.name}: the repository holds another file of that name${byWhom(taken)}`,
    "two servers archive under one name, or a copy archives into its source's history: stop the one that does not belong, " +
      "or give it a cluster name of its own with pgark init",
  ];
}

function byWhom({ writer, written }: NonNullable<StatusFacts["taken"]>): string {
  if (writer === undefined || written === undefined) return "";
  return `, which ${writer} wrote at ${formatUtc(written)}`;
}

function failureText(facts: StatusFacts, name: string, time: Date): [problem: string, todo: string] {
  const { taken } = facts;
  const there =
    taken?.same === undefined && taken !== undefined
      ? `; the repository holds a file of that name${byWhom(taken)}, perhaps another server's`
      : "";
  const waiting = facts.backlog.known ? `; ${plural(facts.backlog.value.files, "file waits", "files wait")}` : "";
  return [
    `PostgreSQL fails to archive ${name}, last at ${formatUtc(time)}${waiting}${there}`,
    `the reason is in PostgreSQL's log; by hand, in the data directory: pgark wal-push pg_wal/${name}`,
  ];
}

/** What is new with several repositories and a pusher in the background, where there are such. */
function assessSeveral({ archiver, repositories = [] }: StatusFacts): readonly Finding[] {
  const findings: Finding[] = [];
  const failure = archiver?.failure;
  if (failure !== undefined) {
    findings.push({
      code: "archiver-stopped",
      severity: "warning",
      identity: undefined,
      object: failure.name,
      problem: `the background archiver fails at ${failure.name} since ${formatUtc(failure.since)}: ${failure.problem}`,
      todo: "archiving goes on one file at a time; the archiver's own log says more",
    });
  }
  for (const { url, missingFiles, firstMissing = "", lastMissing = "", problem } of repositories) {
    if (problem === undefined && missingFiles === 0) continue;
    findings.push({
      code: "repository-lagging",
      severity: "warning",
      identity: undefined,
      object: url,
      problem:
        problem === undefined
          ? `${url} lacks ${plural(missingFiles, "WAL file")} that another repository has, ${firstMissing} to ${lastMissing}`
          : `${url}: ${problem}`,
      todo: "it catches up by itself once it can be reached; until then it cannot restore the newest moments",
    });
  }
  return findings;
}
