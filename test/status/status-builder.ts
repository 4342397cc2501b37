import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import { findWalHoles } from "../../src/restore/wal-holes.ts";
import type { LifeFacts, ServerFacts, StatusFacts } from "../../src/status/status-facts.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { VerifyRecord } from "../../src/repository/verify-record.ts";
import { at, buildCatalog, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";

/** Segments 1 to 9 and a backup in 2 to 3, all on timeline 1: nothing is wrong with it a little after. */
export const healthyArchive: ArchiveSpec = {
  wal: { 1: "1-9" },
  backups: [{ label: "20261120T002000Z", start: 2.1, stop: 3.2 }],
};

/** Four minutes after segment 9 was archived, in the builder's time of ten minutes a segment. */
export const healthyNow = clock(10.4);

export function buildLife(spec: ArchiveSpec = healthyArchive, changes: Partial<LifeFacts> = {}): LifeFacts {
  const catalog = changes.catalog ?? buildCatalog(spec);
  return {
    catalog,
    created: clock(0),
    window: recoveryWindow(catalog),
    holes: findWalHoles(catalog).map((hole) => ({ ...hole, acknowledged: undefined })),
    damaged: [],
    unfinished: [],
    verified: undefined,
    retention: undefined,
    ...changes,
  };
}

/** A primary in the middle of segment 10, whose archiver is well. */
export function buildServer(changes: Partial<ServerFacts> = {}, archiver: Partial<ServerFacts["archiver"]> = {}) {
  const server: ServerFacts = {
    target: "db1:5432",
    identity: buildCatalog(healthyArchive).identity,
    serverVersion: "17.10",
    inRecovery: false,
    timeline: timelineId(1),
    position: at(10.5),
    archiveMode: "on",
    archiveSet: true,
    archiveTimeoutSeconds: 60,
    clockAheadMs: 0,
    ...changes,
    archiver: {
      archived: 9,
      failed: 0,
      lastArchived: { name: "000000010000000000000009", time: clock(10) },
      lastFailed: undefined,
      failing: false,
      ...archiver,
    },
  };
  return { known: true, value: server } as const;
}

/** An archiver that has failed at segment 10 ever since. */
export const failingArchiver = {
  failed: 7,
  failing: true,
  lastFailed: { name: "00000001000000000000000A", time: clock(10.3) },
} as const;

export const notAsked = { known: false, why: "nobody asked", expected: false } as const;

export function buildFacts(changes: Partial<StatusFacts> = {}): StatusFacts {
  return {
    cluster: "main",
    repository: "file:///srv/pgark",
    encrypted: false,
    now: healthyNow,
    lives: [buildLife()],
    server: buildServer(),
    backlog: { known: true, value: { files: 0, oldest: undefined } },
    taken: undefined,
    ...changes,
  };
}

export function verifyRecord(changes: Partial<VerifyRecord>): VerifyRecord {
  return {
    begun: clock(9),
    finished: clock(9.5),
    depth: "read",
    sample: undefined,
    result: "whole",
    faults: 0,
    unknown: 0,
    examples: [],
    backups: 1,
    segments: 9,
    packsRead: 1,
    segmentsRead: 9,
    bytesRead: 1000,
    host: "db1",
    pgark: "0.1.0",
    ...changes,
  };
}

/** A cluster of which everything is known, and that has some of everything. */
export function fullFacts(): StatusFacts {
  const marker = { label: "x", host: "db1", begun: clock(9), walFrom: { timeline: timelineId(1), lsn: at(9) } };
  return buildFacts({
    lives: [
      buildLife(
        { ...healthyArchive, wal: { 1: "1-5 7-9" } },
        {
          damaged: [{ label: "20261120T010000Z", problem: "its digest does not hold" }],
          unfinished: [
            { label: "20261120T013000Z", marker, lastSign: clock(10), objects: 3, bytes: 100, running: true },
            { label: "20261120T003000Z", marker: "gone", lastSign: clock(5), objects: 3, bytes: 100, running: false },
          ],
          verified: verifyRecord({ result: "faults", faults: 1 }),
          retention: { keep: 1, expire: 2, segments: 3, freedBytes: 4000, refused: undefined },
          walStoredBytes: 5000,
        },
      ),
    ],
    server: buildServer({}, failingArchiver),
    backlog: { known: true, value: { files: 1, oldest: { name: failingArchiver.lastFailed.name, since: clock(10) } } },
    taken: { name: failingArchiver.lastFailed.name, same: false, writer: "db9", written: clock(10.1) },
    archiver: { running: true, ahead: 2, failure: { name: "x", problem: "no route", since: clock(10) } },
    repositories: [{ url: "file:///b", missingFiles: 12, firstMissing: "a", lastMissing: "b", problem: undefined }],
  });
}
