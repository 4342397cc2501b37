import type { ClusterIdentity } from "../../src/postgres/cluster-identity.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { at, buildCatalog, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";
import {
  buildLife,
  buildServer,
  failingArchiver,
  healthyArchive,
  healthyNow,
  notAsked,
  verifyRecord,
} from "./status-builder.ts";

export const HOUR = 3_600_000;

function later(milliseconds: number): Date {
  return new Date(healthyNow.getTime() + milliseconds);
}

export function lives(spec: ArchiveSpec, changes: Parameters<typeof buildLife>[1] = {}): Pick<StatusFacts, "lives"> {
  return { lives: [buildLife(spec, changes)] };
}

const waiting = (files: number, sinceMs: number): Pick<StatusFacts, "backlog"> => ({
  backlog: {
    known: true,
    value: { files, oldest: { name: "00000001000000000000000A", since: later(-sinceMs) } },
  },
});

const marker = { label: "x", host: "db2", begun: clock(9), walFrom: { timeline: timelineId(1), lsn: at(9) } };
export const unfinished = (sinceMs: number, changes = {}) =>
  lives(healthyArchive, {
    unfinished: [
      {
        label: "20261120T013000Z",
        marker,
        lastSign: later(-sinceMs),
        objects: 3,
        bytes: 100,
        running: sinceMs < HOUR,
        ...changes,
      },
    ],
  });

export const newer: ClusterIdentity = { majorVersion: 18, systemIdentifier: 7_500_000_000_000_000_000n };
const silent = { ...notAsked, why: "the server at db1:5432 was not asked: ECONNREFUSED", expected: true } as const;

/** WAL has come until just now, for 27 hours and `more` since the only backup. */
export function at27Hours(more = 0): Partial<StatusFacts> {
  const last = Math.ceil((27 * HOUR + more) / 600_000);
  return {
    ...lives({ ...healthyArchive, wal: { 1: `1-${last + 3}` } }),
    server: buildServer({ position: at(last + 4.1) }),
    now: clock(last + 4.2),
  };
}

/** Nothing has come for so long, but a backup was just taken from what was there. */
function quietFor(milliseconds: number): Partial<StatusFacts> {
  const stop = { startClock: 9 + milliseconds / 600_000, stopClock: 9.1 + milliseconds / 600_000 };
  return {
    ...lives({ wal: { 1: "1-9" }, backups: [{ label: "20261121T002000Z", start: 2.1, stop: 3.2, ...stop }] }),
    now: later(milliseconds),
  };
}

function withBadPages(catalog: ReturnType<typeof buildCatalog>): ReturnType<typeof buildCatalog> {
  return { ...catalog, backups: catalog.backups.map((backup) => ({ ...backup, badPages: 2 })) };
}

/** What is known of a cluster, and severity and code of each finding about it, worst first. */
export const CASES: readonly (readonly [title: string, facts: Partial<StatusFacts>, expected: readonly string[]])[] = [
  ["all is well", {}, []],
  ["the server is not asked, and nobody named one", { server: notAsked, backlog: notAsked }, []],
  ["a server that was named does not answer", { server: silent, backlog: notAsked }, ["warning not-asked"]],
  [
    "the role may not see the backlog",
    { backlog: { known: false, why: "not known", hint: "GRANT pg_monitor", expected: false } },
    ["info not-asked"],
  ],

  ["pgark init was never run", { lives: [], server: notAsked }, ["critical no-life"]],
  ["there is no backup", lives({ wal: { 1: "1-9" }, backups: [] }), ["critical no-backup"]],
  [
    "the only backup lacks WAL of its own",
    lives({ wal: { 1: "1-2 4-9" }, backups: [{ label: "20261120T002000Z", start: 2.1, stop: 3.2 }] }),
    ["critical not-restorable", "warning hole"],
  ],
  [
    "a segment after the last backup is missing",
    lives({ ...healthyArchive, wal: { 1: "1-6 8-9" } }),
    ["critical newest-lost", "warning hole"],
  ],
  [
    "a segment is missing, and a later backup leads to all that followed",
    lives({
      wal: { 1: "1-5 7-9" },
      backups: [...healthyArchive.backups, { label: "20261120T011000Z", start: 7.1, stop: 8.2 }],
    }),
    ["warning hole"],
  ],
  [
    "the hole is known",
    lives(
      {
        wal: { 1: "1-5 7-9" },
        backups: [...healthyArchive.backups, { label: "20261120T011000Z", start: 7.1, stop: 8.2 }],
      },
      { holes: [{ timeline: timelineId(1), first: 6n, last: 6n, acknowledged: "disk died" }] },
    ),
    ["info hole-acknowledged"],
  ],
  [
    "a promotion whose history was never archived leaves its WAL unreachable",
    {
      ...lives({ ...healthyArchive, wal: { 1: "1-9", 2: "9-12" } }),
      server: buildServer({ timeline: timelineId(2), position: at(13.1) }),
      now: clock(13.2),
    },
    ["critical newest-lost"],
  ],
  [
    "a promotion is followed all the way",
    {
      ...lives({ ...healthyArchive, histories: { 2: [[1, 9.5]] }, wal: { 1: "1-9", 2: "9-12" } }),
      server: buildServer({ timeline: timelineId(2), position: at(13.1) }),
      now: clock(13.2),
    },
    [],
  ],
  [
    "just promoted, and nothing of the new timeline was archived yet",
    {
      ...lives({ ...healthyArchive, histories: { 2: [[1, 9.5]] }, wal: { 1: "1-9" } }),
      server: buildServer({ timeline: timelineId(2), position: at(9.6) }),
    },
    [],
  ],
  [
    "a record is damaged",
    lives(healthyArchive, { damaged: [{ label: "20261120T010000Z", problem: "its digest does not hold" }] }),
    ["warning backup-damaged"],
  ],
  [
    "the last backup has bad pages",
    lives(healthyArchive, { catalog: withBadPages(buildCatalog(healthyArchive)) }),
    ["warning backup-bad-pages"],
  ],
  ["a backup is being taken", unfinished(4 * 60_000), []],
  ["a backup has given no sign of life for hours", unfinished(3 * HOUR), ["info backup-abandoned"]],
  ["a backup is half deleted", unfinished(0, { marker: "gone", running: false }), ["info backup-abandoned"]],
  ["the last backup is old", { ...at27Hours() }, ["warning backup-old"]],
  ["the last backup is very old", { ...at27Hours(60 * HOUR) }, ["critical backup-old"]],

  [
    "verify found faults",
    lives(healthyArchive, {
      verified: verifyRecord({
        result: "faults",
        faults: 2,
        examples: [{ kind: "damaged", object: "main/17-1/wal/x", problem: "the digest does not hold" }],
      }),
    }),
    ["critical verify-faults"],
  ],
  [
    "verify could not find out about something",
    lives(healthyArchive, { verified: verifyRecord({ result: "unknown", unknown: 1 }) }),
    ["warning verify-unknown"],
  ],
  [
    "retention refuses",
    lives(healthyArchive, {
      retention: { keep: 1, expire: 0, segments: 0, freedBytes: 0, refused: "no backup can be restored" },
    }),
    ["warning retention-refused"],
  ],

  ["archive_mode is off", { server: buildServer({ archiveMode: "off" }) }, ["critical archiving-off"]],
  ["no archive_command is set", { server: buildServer({ archiveSet: false }) }, ["critical archiving-off"]],
  ["a standby does not archive", { server: buildServer({ archiveMode: "off", inRecovery: true }) }, []],
  ["the archiver has just failed", { server: buildServer({}, failingArchiver) }, ["warning archiving-failing"]],
  [
    "the archiver has failed for an hour and more",
    { server: buildServer({}, failingArchiver), ...waiting(5, 1.5 * HOUR) },
    ["critical archiving-failing"],
  ],
  [
    "another server's file has the name of one that PostgreSQL archives",
    {
      server: buildServer({}, failingArchiver),
      taken: { name: "00000001000000000000000A", same: false, writer: "db9", written: clock(10.1) },
    },
    ["critical conflict"],
  ],
  [
    "the archiver fails though the repository has that very file",
    {
      server: buildServer({}, failingArchiver),
      taken: { name: "00000001000000000000000A", same: true, writer: "db1", written: clock(10.1) },
    },
    ["warning archiving-failing"],
  ],
  ["a file has waited long", waiting(3, 11 * 60_000), ["warning backlog"]],
  ["very many files wait", waiting(1001, 60_000), ["critical backlog"]],
  [
    "the repository is far behind, and the backlog cannot be seen",
    { server: buildServer({ position: at(10 + 65) }), backlog: notAsked },
    ["warning wal-lag"],
  ],
  ["no WAL came for days, and the server has none to give", { ...quietFor(25 * HOUR) }, []],
  [
    "no WAL came for days, and a segment that is not full is never archived",
    { ...quietFor(25 * HOUR), server: buildServer({ archiveTimeoutSeconds: 0 }) },
    ["warning wal-old"],
  ],
  [
    "no WAL came for days, and the server has one file that waits",
    { ...quietFor(25 * HOUR), ...waiting(1, -25 * HOUR) },
    ["warning wal-old"],
  ],
  [
    "no WAL came for days, and there is no server to ask",
    { ...quietFor(80 * HOUR), server: notAsked, backlog: notAsked },
    ["critical wal-old"],
  ],

  ["the server is after pg_upgrade", { server: buildServer({ identity: newer }) }, ["critical unknown-life"]],
  [
    "the repository has WAL that the server has not written",
    { server: buildServer({ position: at(8.5) }) },
    ["warning repository-ahead"],
  ],
  [
    "the repository knows a timeline that the server left or never had",
    {
      ...lives({ ...healthyArchive, histories: { 2: [[1, 9.5]] }, wal: { 1: "1-9", 2: "9-10" } }),
      server: buildServer({ position: at(12) }),
    },
    ["warning repository-ahead"],
  ],
  ["a standby lags", { server: buildServer({ position: at(8.5), inRecovery: true }) }, []],
  ["the clocks differ", { server: buildServer({ clockAheadMs: -120_000 }) }, ["warning clocks-differ"]],

  [
    "the background archiver fails",
    { archiver: { running: true, ahead: 0, failure: { name: "x", problem: "no route", since: clock(10) } } },
    ["warning archiver-stopped"],
  ],
  [
    "one of several repositories lags",
    {
      repositories: [
        { url: "file:///a", missingFiles: 0, firstMissing: undefined, lastMissing: undefined, problem: undefined },
        { url: "file:///b", missingFiles: 12, firstMissing: "a", lastMissing: "b", problem: undefined },
      ],
    },
    ["warning repository-lagging"],
  ],
];
