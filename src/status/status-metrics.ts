import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { Assessment } from "./assess-status.ts";
import type { Labels, Metric, Sample } from "./metric.ts";
import { lastArchived, lastBackup, lengthOf, presentLife } from "./present-life.ts";
import type { LifeFacts, StatusFacts, WindowStretch } from "./status-facts.ts";

/** How a collection went. */
export interface Collection {
  readonly version: string;
  readonly cluster: string;
  readonly success: boolean;
  readonly finished: Date;
  readonly durationMs: number;
}

/** The metrics of a collection, of what it found when it found anything. Times are seconds since 1970. */
export function statusMetrics(
  collection: Collection,
  found: { readonly facts: StatusFacts; readonly assessment: Assessment } | undefined,
): readonly Metric[] {
  return [
    ...collectionMetrics(collection),
    ...(found === undefined ? [] : [...verdictMetrics(found), ...lifeMetrics(found.facts), ...presentMetrics(found)]),
  ];
}

function collectionMetrics({ version, cluster, success, finished, durationMs }: Collection): readonly Metric[] {
  const one = (name: string, help: string, value: number, labels: Labels = {}): Metric =>
    gauge(name, help, [{ labels: { cluster, ...labels }, value }]);
  return [
    one("pgark_build_info", "The version of pgark that looked; always 1", 1, { version }),
    one(
      "pgark_collect_success",
      "Whether the last look at the repository went well; when it did not, all else is left out",
      success ? 1 : 0,
    ),
    one("pgark_collect_timestamp_seconds", "When pgark last looked", seconds(finished)),
    one("pgark_collect_duration_seconds", "How long it took", durationMs / 1000),
  ];
}

function verdictMetrics({ facts, assessment }: { facts: StatusFacts; assessment: Assessment }): readonly Metric[] {
  const { cluster, server } = facts;
  const counts = new Map<string, Sample>();
  for (const { code, severity, identity } of assessment.findings) {
    const labels = { cluster, code, severity, identity: identity === undefined ? "" : formatIdentity(identity) };
    const key = JSON.stringify(labels);
    counts.set(key, { labels, value: (counts.get(key)?.value ?? 0) + 1 });
  }
  const status = { ok: 0, warning: 1, critical: 2 }[assessment.status];
  const up = server.known ? 1 : server.expected ? 0 : undefined;
  return [
    gauge("pgark_status", "How things stand: 0 ok, 1 warning, 2 critical", [{ labels: { cluster }, value: status }]),
    gauge("pgark_findings", "What pgark status finds, by code and severity", [...counts.values()]),
    gauge(
      "pgark_server_up",
      "Whether the server answered; left out where there is none to ask",
      sampleOf({ cluster }, up),
    ),
  ];
}

/** Of every life of the cluster. */
function lifeMetrics({ cluster, lives }: StatusFacts): readonly Metric[] {
  const perLife = (name: string, help: string, samples: (life: LifeFacts) => readonly Sample[]): Metric =>
    gauge(
      name,
      help,
      lives.flatMap((life) => samples(life).map((sample) => withLife(cluster, life, sample))),
    );
  const count = (name: string, help: string, value: (life: LifeFacts) => number | undefined): Metric =>
    perLife(name, help, (life) => sampleOf({}, value(life)));
  const newest = (name: string, help: string, value: (stretch: WindowStretch) => number | undefined): Metric =>
    perLife(name, help, (life) =>
      newestOfEach(life).flatMap((stretch) => sampleOf({ timeline: String(stretch.timeline) }, value(stretch))),
    );
  const time = (moment: Date | undefined): number | undefined => (moment === undefined ? undefined : seconds(moment));
  return [
    newest(
      "pgark_recovery_window_seconds",
      "Length of the newest stretch of moments that can be restored, by timeline",
      (stretch) => {
        const length = lengthOf(stretch);
        return length === undefined ? undefined : length / 1000;
      },
    ),
    newest("pgark_recovery_window_start_timestamp_seconds", "Its first moment", ({ from }) => time(from.time)),
    newest("pgark_recovery_window_end_timestamp_seconds", "Its last moment", ({ to }) => time(to.time)),
    perLife("pgark_recovery_window_stretches", "Stretches of moments that can be restored, by timeline", ({ window }) =>
      [...Map.groupBy(window, ({ timeline }) => timeline)].map(([timeline, stretches]) => ({
        labels: { timeline: String(timeline) },
        value: stretches.length,
      })),
    ),
    count("pgark_backups", "Complete backups", ({ catalog }) => catalog.backups.length),
    count("pgark_backups_damaged", "Backups whose record cannot be used", ({ damaged }) => damaged.length),
    perLife(
      "pgark_backups_unfinished",
      "Backups without a record, by whether somebody is at work on them",
      ({ unfinished }) => {
        const running = unfinished.filter((backup) => backup.running).length;
        return [
          { labels: { state: "running" }, value: running },
          { labels: { state: "abandoned" }, value: unfinished.length - running },
        ];
      },
    ),
    count("pgark_wal_segments", "WAL segments in the repository", ({ catalog }) =>
      catalog.wal.reduce((sum, { first, last }) => sum + Number(last - first + 1n), 0),
    ),
    perLife("pgark_wal_holes", "Holes in the WAL, by whether they were acknowledged", ({ holes }) => {
      const known = holes.filter(({ acknowledged }) => acknowledged !== undefined).length;
      return [
        { labels: { acknowledged: "true" }, value: known },
        { labels: { acknowledged: "false" }, value: holes.length - known },
      ];
    }),
    perLife(
      "pgark_repository_bytes",
      "Bytes stored: of complete backups by their records, of WAL by listing, from 50,000 segments on by a sample",
      (life) => [
        {
          labels: { kind: "backups" },
          value: life.catalog.backups.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
        },
        ...sampleOf({ kind: "wal" }, life.walStoredBytes),
      ],
    ),
    count("pgark_verify_timestamp_seconds", "When pgark verify last ended", ({ verified }) => time(verified?.finished)),
    count("pgark_verify_faults", "Faults that it found", ({ verified }) => verified?.faults),
    count("pgark_verify_unknown", "Objects that it could not find out about", ({ verified }) => verified?.unknown),
    perLife(
      "pgark_retention_backups",
      "Backups by what the policy says of them; left out without a policy",
      ({ retention }) =>
        retention === undefined
          ? []
          : [
              { labels: { verdict: "keep" }, value: retention.keep },
              { labels: { verdict: "expire" }, value: retention.expire },
            ],
    ),
    count(
      "pgark_retention_freed_bytes",
      "Bytes that pgark prune would free, those of much WAL reckoned from a sample",
      ({ retention }) => retention?.freedBytes,
    ),
    count(
      "pgark_retention_freed_wal_segments",
      "WAL segments that pgark prune would delete",
      ({ retention }) => retention?.segments,
    ),
  ];
}

/** Of the present life and its server. */
function presentMetrics({ facts, assessment }: { facts: StatusFacts; assessment: Assessment }): readonly Metric[] {
  const { cluster, server, backlog } = facts;
  const { measured } = assessment;
  const life = presentLife(facts);
  const identity = life === undefined ? "" : formatIdentity(life.catalog.identity);
  const one = (name: string, help: string, value: number | undefined, type: Metric["type"] = "gauge"): Metric => ({
    name,
    help,
    type,
    samples: sampleOf({ cluster, identity }, value),
  });
  const inSeconds = (milliseconds: number | undefined): number | undefined =>
    milliseconds === undefined ? undefined : milliseconds / 1000;
  const backup = life === undefined ? undefined : lastBackup(life);
  const wal = life === undefined ? undefined : lastArchived(life.catalog);
  const archiver = server.known ? server.value.archiver : undefined;
  const failing = archiver === undefined ? undefined : archiver.failing ? 1 : 0;
  const time = (moment: Date | undefined): number | undefined => (moment === undefined ? undefined : seconds(moment));
  return [
    one("pgark_last_backup_timestamp_seconds", "When the last complete backup ended", time(backup?.stopTime)),
    one("pgark_last_backup_age_seconds", "How long ago that was when pgark looked", inSeconds(measured["backup-age"])),
    one(
      "pgark_last_backup_duration_seconds",
      "How long it took",
      inSeconds(backup && backup.stopTime.getTime() - backup.startTime.getTime()),
    ),
    one("pgark_last_backup_bytes", "Bytes of the files in it", backup?.bytes),
    one("pgark_last_backup_stored_bytes", "Bytes that it takes in the repository", backup?.storedBytes),
    one("pgark_last_backup_bad_pages", "Pages in it whose checksum did not hold", backup?.badPages),
    one(
      "pgark_last_wal_timestamp_seconds",
      "When the last WAL segment came into the repository",
      time(wal?.archivedAt),
    ),
    one("pgark_last_wal_age_seconds", "How long ago that was when pgark looked", inSeconds(measured["wal-age"])),
    one(
      "pgark_wal_lag_bytes",
      "WAL that PostgreSQL has written and that is not in the repository",
      measured["wal-lag"],
    ),
    one("pgark_wal_backlog_files", "Files that wait to be archived", backlog.known ? backlog.value.files : undefined),
    one(
      "pgark_wal_backlog_oldest_age_seconds",
      "How long the oldest of them has waited",
      inSeconds(measured["backlog-age"]),
    ),
    one("pgark_archiver_failing", "Whether PostgreSQL's last try to archive a file failed", failing),
    one("pgark_archiver_archived_total", "Files that PostgreSQL has archived", archiver?.archived, "counter"),
    one("pgark_archiver_failed_total", "Tries to archive a file that failed", archiver?.failed, "counter"),
    one(
      "pgark_archiver_last_failure_timestamp_seconds",
      "When the last such try was",
      time(archiver?.lastFailed?.time),
    ),
  ];
}

function newestOfEach({ window }: LifeFacts): readonly WindowStretch[] {
  const newest = new Map<TimelineId, WindowStretch>();
  for (const stretch of window) {
    const known = newest.get(stretch.timeline);
    if (known === undefined || stretch.to.lsn >= known.to.lsn) newest.set(stretch.timeline, stretch);
  }
  return [...newest.values()];
}

function withLife(cluster: string, life: LifeFacts, { labels, value }: Sample): Sample {
  return { labels: { cluster, identity: formatIdentity(life.catalog.identity), ...labels }, value };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, type: "gauge", samples };
}

/** None for what is not known. */
function sampleOf(labels: Labels, value: number | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ labels, value }];
}

function seconds(time: Date): number {
  return time.getTime() / 1000;
}
