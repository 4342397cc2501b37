import { formatIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { Assessment } from "../status/assess-status.ts";
import type { Finding } from "../status/finding.ts";
import { MEASURE_NAMES, MEASURES } from "../status/measures.ts";
import { lastArchived, lastBackup, presentLife } from "../status/present-life.ts";
import type {
  ArchiverEvent,
  BacklogFacts,
  LifeFacts,
  RepositoryFacts,
  ServerFacts,
  StatusFacts,
  WindowEnd,
} from "../status/status-facts.ts";
import { checkStatus } from "./check-line.ts";
import { backupJson } from "./json-shapes.ts";
import type { Json } from "./json-shapes.ts";

/** The version of the shape below. Fields may be added to it; one that changes its meaning makes the next version. */
export const STATUS_SCHEMA = 1;

type JsonObject = { readonly [key: string]: Json };

/** A status as docs/json.md and docs/status.schema.json describe it. */
export function statusJson(facts: StatusFacts, assessment: Assessment): JsonObject {
  const { server, backlog, archiver, repositories } = facts;
  const present = presentLife(facts);
  return {
    schema: STATUS_SCHEMA,
    cluster: facts.cluster,
    repository: facts.repository,
    encrypted: facts.encrypted,
    time: facts.now.toISOString(),
    status: assessment.status,
    check: checkStatus(assessment),
    findings: assessment.findings.map(findingJson),
    measures: Object.fromEntries(MEASURE_NAMES.map((name) => [name, measureJson(name, assessment)])),
    present: present === undefined ? null : formatIdentity(present.catalog.identity),
    lives: facts.lives.map(lifeJson),
    server: server.known ? serverJson(server.value) : null,
    backlog: backlog.known ? backlogJson(backlog.value) : null,
    notAsked: [server, backlog].flatMap((asked) => (asked.known ? [] : [asked.why])),
    archiver:
      archiver === undefined
        ? null
        : {
            running: archiver.running,
            ahead: archiver.ahead,
            failure:
              archiver.failure === undefined
                ? null
                : {
                    name: archiver.failure.name,
                    problem: archiver.failure.problem,
                    since: archiver.failure.since.toISOString(),
                  },
          },
    repositories: repositories === undefined ? null : repositories.map(repositoryJson),
  };
}

function findingJson({ code, severity, identity, object, problem, todo }: Finding): JsonObject {
  return {
    code,
    severity,
    identity: identity === undefined ? null : formatIdentity(identity),
    object: object ?? null,
    problem,
    todo,
  };
}

/** Durations in seconds, as everywhere outside of this program. */
function measureJson(name: (typeof MEASURE_NAMES)[number], { measured, thresholds }: Assessment): JsonObject {
  const { unit, alarm } = MEASURES[name];
  const value = (each: number | undefined): number | null =>
    each === undefined ? null : unit === "duration" ? each / 1000 : each;
  return {
    value: value(measured[name]),
    unit: { duration: "seconds", size: "bytes", count: "count" }[unit],
    alarm,
    warn: value(thresholds.warn[name]),
    crit: value(thresholds.crit[name]),
  };
}

function lifeJson(life: LifeFacts): JsonObject {
  const { catalog, verified, retention } = life;
  const backup = lastBackup(life);
  const last = lastArchived(catalog);
  const name = (timeline: Parameters<typeof segmentFileName>[0], segment: bigint): string =>
    segmentFileName(timeline, segment, catalog.walSegmentSize);
  return {
    identity: formatIdentity(catalog.identity),
    created: life.created.toISOString(),
    walSegmentSize: catalog.walSegmentSize,
    backups: catalog.backups.length,
    storedBytes: catalog.backups.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    lastBackup: backup === undefined ? null : backupJson(backup),
    walSegments: Number(catalog.wal.reduce((sum, { first, last: end }) => sum + (end - first + 1n), 0n)),
    lastWal:
      last === undefined
        ? null
        : {
            timeline: last.timeline,
            name: name(last.timeline, last.last),
            archivedAt: last.archivedAt.toISOString(),
          },
    window: life.window.map(({ timeline, from, to, backup: opening }) => ({
      timeline,
      from: endJson(from),
      to: endJson(to),
      backup: opening,
    })),
    holes: life.holes.map(({ timeline, first, last: end, acknowledged }) => ({
      timeline,
      first: name(timeline, first),
      last: name(timeline, end),
      segments: Number(end - first + 1n),
      acknowledged: acknowledged ?? null,
    })),
    damagedBackups: life.damaged.map(({ label, problem }) => ({ label, problem })),
    unfinishedBackups: life.unfinished.map(({ marker, ...unfinished }) => ({
      label: unfinished.label,
      host: typeof marker === "string" ? null : marker.host,
      begun: typeof marker === "string" ? null : marker.begun.toISOString(),
      lastSign: unfinished.lastSign.toISOString(),
      running: unfinished.running,
      storedBytes: unfinished.bytes,
    })),
    verified:
      verified === undefined
        ? null
        : {
            finished: verified.finished.toISOString(),
            depth: verified.depth,
            sample: verified.sample ?? null,
            result: verified.result,
            faults: verified.faults,
            unknown: verified.unknown,
          },
    retention:
      retention === undefined
        ? null
        : {
            keep: retention.keep,
            expire: retention.expire,
            segments: retention.segments,
            freedBytes: retention.freedBytes,
            refused: retention.refused ?? null,
          },
  };
}

function endJson({ lsn, time }: WindowEnd): JsonObject {
  return { lsn: formatLsn(lsn), time: time?.toISOString() ?? null };
}

function serverJson(server: ServerFacts): JsonObject {
  const { archiver } = server;
  return {
    target: server.target,
    identity: formatIdentity(server.identity),
    serverVersion: server.serverVersion,
    inRecovery: server.inRecovery,
    timeline: server.timeline,
    lsn: formatLsn(server.position),
    archiveMode: server.archiveMode,
    archiveTimeout: server.archiveTimeoutSeconds,
    clockAhead: server.clockAheadMs / 1000,
    archived: archiver.archived,
    failed: archiver.failed,
    failing: archiver.failing,
    lastArchived: eventJson(archiver.lastArchived),
    lastFailed: eventJson(archiver.lastFailed),
  };
}

function eventJson(event: ArchiverEvent | undefined): Json {
  return event === undefined ? null : { name: event.name, time: event.time.toISOString() };
}

function backlogJson({ files, oldest }: BacklogFacts): JsonObject {
  return {
    files,
    oldest: oldest === undefined ? null : { name: oldest.name, since: oldest.since.toISOString() },
  };
}

function repositoryJson({ url, missingFiles, firstMissing, lastMissing, problem }: RepositoryFacts): JsonObject {
  return {
    url,
    missingFiles,
    firstMissing: firstMissing ?? null,
    lastMissing: lastMissing ?? null,
    problem: problem ?? null,
  };
}
