import { expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { planForgetTimeline } from "../../src/retention/forget-timeline.ts";
import type { RetentionFacts } from "../../src/retention/retention-plan.ts";
import { type ArchiveSpec, buildCatalog, clock } from "../restore/archive-builder.ts";

/** Timeline 2 is a clone's; 3 is where the cluster is, and comes from 1. */
const spec: ArchiveSpec = {
  histories: { 2: [[1, 5.5]], 3: [[1, 8.5]] },
  wal: { 1: "0-8", 2: "5-7", 3: "8-20" },
  backups: [
    { label: "a", start: 1.5, stop: 2.5 },
    { label: "b", timeline: 2, start: 6.2, stop: 6.5 },
    { label: "c", timeline: 3, start: 10.5, stop: 11.5 },
  ],
  partials: [
    [1, 5],
    [2, 8],
  ],
};

function facts(changes: Partial<RetentionFacts> = {}, archive = spec): RetentionFacts {
  return { catalog: buildCatalog(archive), pins: [], running: [], now: clock(30), ...changes };
}

test("all of a branch goes but its history: while there are younger ones its number must not be given again", () => {
  const forgotten = planForgetTimeline(facts(), timelineId(2));
  expect(forgotten.backups.map(({ label }) => label)).toEqual(["b"]);
  expect(forgotten.wal).toMatchObject([{ timeline: 2, first: 5n, last: 7n }]);
  expect(forgotten.partials).toEqual([{ timeline: 2, segment: 8n }]);
  expect(forgotten.history).toBe(false);
});

test("the newest timeline goes with its history when no backup was taken on it: a clone that was promoted by mistake", () => {
  const forgotten = planForgetTimeline(
    facts({}, { ...spec, backups: spec.backups.filter(({ timeline }) => timeline !== 3) }),
    timelineId(3),
  );
  expect(forgotten).toMatchObject({ backups: [], wal: [{ first: 8n, last: 20n }], history: true });
});

test.each([
  ["a timeline that another one comes from", 1, {}, "refused", "comes from it"],
  ["the newest one when backups were taken on it", 3, {}, "refused", "backups were taken on it"],
  ["one that nobody knows", 7, {}, "not-found", "nothing of this timeline"],
  ["one with a pinned backup", 2, { pins: [{ label: "b", until: undefined }] }, "refused", "pinned"],
  [
    "one of which a backup is being taken",
    2,
    { running: [{ label: "d", begun: clock(29), walFrom: { timeline: timelineId(2), lsn: lsn(1n) } }] },
    "refused",
    "being taken",
  ],
  [
    "any while a backup is being taken of which nothing is known",
    2,
    { running: [{ label: "d", begun: clock(29), walFrom: undefined }] },
    "refused",
    "being taken",
  ],
])("refuses to forget %s", (_what, timeline, changes: Partial<RetentionFacts>, code, problem) => {
  expect(() => planForgetTimeline(facts(changes), timelineId(timeline))).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(problem) as string }) as Error,
  );
});

test("a timeline of which only the history is left keeps nobody, unless it is the newest: it may have begun just now", () => {
  const bare: ArchiveSpec = {
    histories: {
      2: [[1, 5.5]],
      3: [
        [1, 5.5],
        [2, 6.5],
      ],
    },
    wal: { 1: "0-8", 2: "5-7" },
    backups: spec.backups.slice(0, 1),
  };
  expect(() => planForgetTimeline(facts({}, bare), timelineId(2))).toThrow("timeline 3 comes from it");
  expect(planForgetTimeline(facts({}, bare), timelineId(3))).toMatchObject({ backups: [], wal: [], history: true });
  const later: ArchiveSpec = {
    ...bare,
    histories: { ...bare.histories, 4: [[1, 8.5]] },
    wal: { ...bare.wal, 4: "8-9" },
  };
  expect(planForgetTimeline(facts({}, later), timelineId(2)).wal).toHaveLength(1);
});

test("a pin that is over, and a backup that is taken of another timeline, are no reason to refuse", () => {
  const changes = {
    pins: [{ label: "b", until: clock(29) }],
    running: [{ label: "d", begun: clock(29), walFrom: { timeline: timelineId(3), lsn: lsn(1n) } }],
  };
  expect(planForgetTimeline(facts(changes), timelineId(2)).backups).toHaveLength(1);
});
