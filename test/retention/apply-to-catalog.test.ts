import { describe, expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { applyToCatalog } from "../../src/retention/apply-to-catalog.ts";
import { evaluateRetention } from "../../src/retention/evaluate.ts";
import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import { buildBackup, buildCatalog, clock, MIB } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";

const archive: ArchiveSpec = {
  wal: { 1: "0-50 52-60" },
  backups: [
    { label: "a", start: 10.2, stop: 11.7 },
    { label: "b", start: 20.2, stop: 21.7 },
    { label: "c", start: 40.2, stop: 41.7 },
  ],
  partials: [
    [1, 5],
    [1, 61],
  ],
};

describe("a plan applied to its catalog", () => {
  const catalog = buildCatalog(archive);
  const facts = { catalog, pins: [{ label: "a", until: undefined }], running: [], now: clock(60) };
  const after = applyToCatalog(catalog, evaluateRetention(facts, { keepLast: 1 }));

  test("leaves the backups and the WAL that stay, as few intervals", () => {
    const { backups, wal, partials } = after;
    expect(backups.map(({ label }) => label)).toEqual(["a", "c"]);
    expect(wal.map(({ first, last }) => `${first}-${last}`)).toEqual(["10-11", "40-50", "52-60"]);
    expect(partials).toEqual([{ timeline: 1, segment: 61n }]);
  });

  test("claims of WAL that was cut no more than a backup's end shows", () => {
    expect(after.wal.map(({ archivedAt }) => archivedAt)).toEqual([clock(11.7), clock(51), clock(61)]);
  });

  test("shows the recovery window that there will be", () => {
    expect(recoveryWindow(after).map(({ backup, from, to }) => [backup, from.time, to.time])).toEqual([
      ["a", undefined, undefined],
      ["c", expect.any(Date), clock(51)],
    ]);
  });

  test("forgets a timeline of which nothing stays", () => {
    const left = buildCatalog({
      histories: { 2: [[1, 5]], 3: [[1, 30]] },
      wal: { 2: "5-9", 3: "30-60" },
      backups: [{ label: "c", timeline: 3, start: 40.2, stop: 41.7, startClock: 900, stopClock: 901 }],
    });
    const plan = evaluateRetention({ ...facts, catalog: left, pins: [], now: clock(999) }, { keepLast: 1 });
    const { histories, wal } = applyToCatalog(left, plan);
    expect([...histories.keys()]).toEqual([3]);
    expect(wal.map(({ timeline }) => timeline)).toEqual([3]);
  });
});

describe("ten thousand backups and thousands of intervals on twenty timelines", () => {
  test("are judged at once", () => {
    const segmentsEach = 10_000;
    const timelines = Array.from({ length: 20 }, (_, index) => index + 1);
    const small = buildCatalog({ wal: {}, backups: [] });
    const catalog = {
      ...small,
      histories: new Map(
        timelines.slice(1).map((timeline) => [
          timelineId(timeline),
          {
            timeline: timelineId(timeline),
            ancestors: timelines.slice(0, timeline - 1).map((ancestor) => ({
              timeline: timelineId(ancestor),
              switchPoint: buildBackup({ label: "", start: 0, stop: ancestor * segmentsEach }, 16 * MIB).stopLsn,
              reason: "",
            })),
          },
        ]),
      ),
      wal: timelines.flatMap((timeline) =>
        Array.from({ length: 250 }, (_, index) => {
          const first = (timeline - 1) * segmentsEach + index * 40;
          const archivedAt = clock(first + 39);
          return { timeline: timelineId(timeline), first: BigInt(first), last: BigInt(first + 38), archivedAt };
        }),
      ),
      backups: Array.from({ length: 10_000 }, (_, index) => {
        const start = index * 20 + 2.5;
        const timeline = Math.floor(start / segmentsEach) + 1;
        return buildBackup({ label: `b${index}`, timeline, start, stop: start + 1 }, 16 * MIB);
      }),
    };
    const facts = { catalog, pins: [], running: [], now: clock(20 * segmentsEach) };
    const plan = evaluateRetention(facts, {
      keepLast: 7,
      keepWithinMs: 30 * 86_400_000,
      keepDaily: 90,
      keepMonthly: 24,
    });
    expect(plan.backups).toHaveLength(10_000);
    // 217 in the window, then one of each older day and month
    expect(plan.backups.filter(({ verdict }) => verdict === "keep")).toHaveLength(296);
    expect(applyToCatalog(catalog, plan).wal.length).toBeLessThan(1000);
  });
});
