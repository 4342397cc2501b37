import { describe, expect, test } from "vitest";
import type { ClusterIdentity } from "../../src/postgres/cluster-identity.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { assessStatus } from "../../src/status/assess-status.ts";
import { resolveThresholds } from "../../src/status/measures.ts";
import type { ThresholdSettings } from "../../src/status/measures.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { at, buildCatalog, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";
import {
  buildFacts,
  buildLife,
  buildServer,
  failingArchiver,
  healthyArchive,
  healthyNow,
  notAsked,
  verifyRecord,
} from "./status-builder.ts";

const HOUR = 3_600_000;
const defaults = resolveThresholds({}, {});

function later(milliseconds: number): Date {
  return new Date(healthyNow.getTime() + milliseconds);
}

/** "critical conflict": severity and code of each finding, worst first. */
function found(facts: StatusFacts, thresholds = defaults): readonly string[] {
  return assessStatus(facts, thresholds).findings.map(({ severity, code }) => `${severity} ${code}`);
}

function lives(spec: ArchiveSpec, changes: Parameters<typeof buildLife>[1] = {}): Pick<StatusFacts, "lives"> {
  return { lives: [buildLife(spec, changes)] };
}

const waiting = (files: number, sinceMs: number): Pick<StatusFacts, "backlog"> => ({
  backlog: {
    known: true,
    value: { files, oldest: { name: "00000001000000000000000A", since: later(-sinceMs) } },
  },
});

const marker = { label: "x", host: "db2", begun: clock(9), walFrom: { timeline: timelineId(1), lsn: at(9) } };
const unfinished = (sinceMs: number, changes = {}) =>
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

const earlier: ClusterIdentity = { majorVersion: 16, systemIdentifier: 7_300_000_000_000_000_000n };
const newer: ClusterIdentity = { majorVersion: 18, systemIdentifier: 7_500_000_000_000_000_000n };
const silent = { ...notAsked, why: "the server at db1:5432 was not asked: ECONNREFUSED", expected: true } as const;

const CASES: readonly (readonly [title: string, facts: Partial<StatusFacts>, expected: readonly string[]])[] = [
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

function withBadPages(catalog: ReturnType<typeof buildCatalog>): ReturnType<typeof buildCatalog> {
  return { ...catalog, backups: catalog.backups.map((backup) => ({ ...backup, badPages: 2 })) };
}

/** WAL has come until just now, for 27 hours and `more` since the only backup. */
function at27Hours(more = 0): Partial<StatusFacts> {
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

describe("status", () => {
  test.each(CASES)("%s", (_title, changes, expected) => {
    expect(found(buildFacts(changes))).toEqual(expected);
  });

  test("each finding says in a sentence what is wrong and what to do, and names its object", () => {
    for (const [title, changes] of CASES) {
      for (const { problem, todo, severity } of assessStatus(buildFacts(changes), defaults).findings) {
        expect(problem, title).toMatch(/^[^A-Z].*[^.]$|^(WAL|PostgreSQL) .*[^.]$/s);
        expect(todo.length, title).toBeGreaterThan(severity === "info" ? 3 : 20);
        expect(`${problem}${todo}`, title).not.toMatch(/undefined|NaN|\[object/);
      }
    }
  });

  test("the worst comes first, and gives the status", () => {
    const facts = buildFacts({
      ...lives(healthyArchive, { damaged: [{ label: "20261120T010000Z", problem: "x" }] }),
      server: buildServer({ archiveMode: "off" }),
    });
    const { status, findings } = assessStatus(facts, defaults);
    expect([status, ...findings.map(({ severity }) => severity)]).toEqual(["critical", "critical", "warning"]);
    expect(assessStatus(buildFacts(), defaults).status).toBe("ok");
    expect(assessStatus(buildFacts(unfinished(3 * HOUR)), defaults).status).toBe("ok");
  });

  test("the life before an upgrade may be old, but a hole in it is still told", () => {
    const old = buildLife(
      { wal: { 1: "1-5 7-9" }, backups: [{ label: "20251120T002000Z", start: 2.1, stop: 3.2 }] },
      {},
    );
    const past = { ...old, catalog: { ...old.catalog, identity: earlier } };
    expect(found(buildFacts({ lives: [past, buildLife()] }))).toEqual(["warning newest-lost", "warning hole"]);
    const whole = buildLife(healthyArchive);
    const quiet = { ...whole, catalog: { ...whole.catalog, identity: earlier } };
    expect(found(buildFacts({ lives: [quiet, buildLife()] }))).toEqual([]);
  });

  test("of very many holes some are named, and the others counted", () => {
    const wal = Array.from({ length: 30 }, (_, index) => 4 + 2 * index).join(" ");
    const { findings } = assessStatus(
      buildFacts({ ...lives({ ...healthyArchive, wal: { 1: `1-3 ${wal}` } }), server: notAsked }),
      defaults,
    );
    const holes = findings.filter(({ code }) => code === "hole");
    expect(holes).toHaveLength(21);
    expect(holes.at(-1)?.problem).toBe("and 9 more holes in the WAL");
  });

  test("a hole's line says which moments are lost", () => {
    const facts = buildFacts(
      lives({
        wal: { 1: "1-5 7-9" },
        backups: [...healthyArchive.backups, { label: "20261120T011000Z", start: 7.1, stop: 8.2 }],
      }),
    );
    const [hole] = assessStatus(facts, defaults).findings;
    expect(hole?.object).toBe("000000010000000000000006");
    expect(hole?.problem).toBe(
      "WAL segment 000000010000000000000006 is missing: " +
        "moments between 2026-11-20 01:00:00 UTC and 2026-11-20 01:22:00 UTC cannot be restored",
    );
  });
});

describe("thresholds", () => {
  const judge = (warn: ThresholdSettings, crit: ThresholdSettings, changes: Partial<StatusFacts> = {}) =>
    assessStatus(buildFacts(changes), resolveThresholds(warn, crit));

  test.each([
    ["backup-age", HOUR, "warning backup-old"],
    ["window", 24 * HOUR, "warning window-short"],
    ["verify-age", 60_000, "warning verify-old"],
  ] as const)("%s raises a warning past its own", (name, value, expected) => {
    const { findings } = judge({ [name]: value }, {});
    expect(findings.map(({ severity, code }) => `${severity} ${code}`)).toEqual([expected]);
  });

  test("one that is off is silent, whatever the default says", () => {
    expect(judge({ "backup-age": "off" }, { "backup-age": "off" }, at27Hours(100 * HOUR)).findings).toEqual([]);
  });

  test("critical goes before warning, and a default stays where only the other was set", () => {
    expect(judge({}, { "backup-age": HOUR }).status).toBe("critical");
    expect(judge({ "backup-age": HOUR }, {}, at27Hours(60 * HOUR)).status).toBe("critical");
  });

  test("what the user wants watched and nobody can measure is named", () => {
    const unseen = { server: notAsked, backlog: notAsked };
    expect(judge({ backlog: 10 }, { "wal-lag": 1 }, unseen).unmeasured).toEqual(["wal-lag", "backlog"]);
    expect(judge({}, {}, unseen).unmeasured).toEqual([]);
  });

  test("what was never verified is as old as the cluster's record", () => {
    expect(judge({}, {}).measured["verify-age"]).toBe(healthyNow.getTime() - clock(0).getTime());
    const verified = lives(healthyArchive, { verified: verifyRecord({}) });
    expect(judge({}, {}, verified).measured["verify-age"]).toBe(healthyNow.getTime() - clock(9.5).getTime());
  });

  test("lag is what PostgreSQL has written past the last archived segment", () => {
    expect(judge({}, {}).measured["wal-lag"]).toBe(8 * 1024 * 1024);
    expect(judge({}, {}, { server: buildServer({ identity: newer }) }).measured["wal-lag"]).toBeUndefined();
  });
});
