import { describe, expect, test } from "vitest";
import { evaluateRetention } from "../../src/retention/evaluate.ts";
import type { RetentionPlan } from "../../src/retention/retention-plan.ts";
import { buildCatalog, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";
import { ask, backup, DAY, dayMs, noted } from "./retention-cases.ts";

function inUse(plan: RetentionPlan): readonly number[] {
  return plan.timelines.filter((timeline) => timeline.inUse).map(({ timeline }) => timeline);
}

function histories(plan: RetentionPlan): readonly number[] {
  return plan.timelines.filter(({ verdict }) => verdict === "keep").map(({ timeline }) => timeline);
}

describe("after a failover", () => {
  const archive = (days: number): ArchiveSpec => ({
    histories: { 2: [[1, 50.5]] },
    wal: { 1: "0-50", 2: "48-80" }, // two of them are older than their timeline
    backups: [backup("a", 1, 10), backup("b", 2, 60, 60 + days * DAY)],
  });

  test("WAL stays on the way from the old timeline to the new one", () => {
    expect(noted(ask({ archive: archive(3), policy: { keepLast: 2 }, now: 9 * DAY }))).toEqual({
      backups: { a: "keep: last", b: "keep: last" },
      wal: [
        "1: 0-9 expire: not-needed",
        "1: 10-50 keep: window a",
        "2: 48-49 expire: not-needed",
        "2: 50-80 keep: window a",
      ],
    });
  });

  test("the old timeline goes when the window has left it behind", () => {
    const plan = ask({ archive: archive(3), policy: { keepLast: 1 }, now: 9 * DAY });
    expect(noted(plan)).toEqual({
      backups: { a: "expire: outside-policy", b: "keep: last" },
      wal: ["1: 0-50 expire: unreachable", "2: 48-59 expire: not-needed", "2: 60-80 keep: window b"],
    });
    expect(inUse(plan)).toEqual([2]);
    expect(histories(plan)).toEqual([1, 2]);
  });

  test("the old timeline counts as in use for another day, for nobody can tell that its server is gone", () => {
    const plan = ask({ archive: archive(0), policy: { keepLast: 1 }, now: 9 * DAY });
    expect(noted(plan).backups).toEqual({ a: "keep: opens-window", b: "keep: last" });
    expect(inUse(plan)).toEqual([1, 2]);
  });

  test("a recovery window that begins before it keeps the backup from which the new timeline was reached", () => {
    const plan = ask({ archive: archive(3), policy: { keepWithinMs: 4 * dayMs }, now: 4 * DAY + 40 });
    expect(noted(plan).backups).toEqual({ a: "keep: opens-window", b: "keep: newest within" });
  });

  test("intermediate timelines stay between their switch points", () => {
    const chain: ArchiveSpec = {
      histories: {
        2: [[1, 20.5]],
        3: [
          [1, 20.5],
          [2, 40.5],
        ],
        4: [
          [1, 20.5],
          [2, 40.5],
          [3, 60],
        ],
      },
      wal: { 1: "0-25", 2: "20-45", 3: "40-70", 4: "60-90" },
      backups: [backup("a", 1, 10), backup("b", 4, 80, 20 * DAY)],
    };
    expect(noted(ask({ archive: chain, policy: { keepLast: 2 }, now: 21 * DAY })).wal).toEqual([
      "1: 0-9 expire: not-needed",
      "1: 10-25 keep: window a",
      "2: 20-45 keep: window a",
      "3: 40-70 keep: window a",
      "4: 60-90 keep: window a",
    ]);
  });
});

describe("after a recovery to an earlier moment", () => {
  /** Timeline 1 was left at 20.5 when it had come to 50; the clock goes on. */
  const archive: ArchiveSpec = {
    histories: { 2: [[1, 20.5]] },
    wal: { 1: "0-50", 2: "20-40" },
    backups: [backup("a", 1, 10), backup("b", 1, 40), backup("c", 2, 25, 4 * DAY)],
  };

  test("the newest backup is the one that ended last, though others lie further in WAL", () => {
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 5 * DAY }))).toEqual({
      backups: { a: "expire: outside-policy", b: "expire: outside-policy", c: "keep: last" },
      wal: ["1: 0-50 expire: unreachable", "2: 20-24 expire: not-needed", "2: 25-40 keep: window c"],
    });
  });

  test("a window that begins on the abandoned branch keeps the backup that leads to the new one", () => {
    expect(noted(ask({ archive, policy: { keepLast: 2 }, now: 5 * DAY }))).toEqual({
      backups: { a: "keep: opens-window", b: "keep: last", c: "keep: last" },
      wal: [
        "1: 0-9 expire: not-needed",
        "1: 10-20 keep: window a",
        "1: 21-39 expire: not-needed",
        "1: 40-50 keep: window b",
        "2: 20-40 keep: window a",
      ],
    });
  });

  test("the new timeline has what leads to it before it has WAL or a backup", () => {
    const early = { ...archive, wal: { 1: "0-50" }, backups: archive.backups.slice(0, 2) };
    const plan = ask({ archive: early, policy: { keepLast: 1 }, now: 90 * DAY });
    expect(noted(plan)).toEqual({
      backups: { a: "keep: opens-window", b: "keep: last" },
      wal: [
        "1: 0-9 expire: not-needed",
        "1: 10-20 keep: window a",
        "1: 21-39 expire: not-needed",
        "1: 40-50 keep: window b",
      ],
    });
    expect(inUse(plan)).toEqual([1, 2]);
  });
});

describe("a clone that archives into its source's history", () => {
  test("does not cost the source its backups", () => {
    const archive: ArchiveSpec = {
      histories: { 2: [[1, 20.5]] },
      wal: { 1: `0-${10 * DAY}`, 2: "20-60" },
      backups: [backup("production", 1, 10), backup("clone", 2, 40, 8 * DAY)],
    };
    expect(noted(ask({ archive, policy: { keepLast: 1 }, now: 10 * DAY }))).toEqual({
      backups: { production: "keep: opens-window", clone: "keep: last" },
      wal: [
        "1: 0-9 expire: not-needed",
        `1: 10-${10 * DAY} keep: window production`,
        "2: 20-60 keep: window production",
      ],
    });
  });
});

describe("a timeline", () => {
  test("of whose last segment nothing is known when it came counts as in use", () => {
    const catalog = buildCatalog({
      histories: { 2: [[1, 50.5]] },
      wal: { 1: "0-50", 2: "50-80" },
      backups: [backup("a", 1, 10), backup("b", 2, 60, 20 * DAY)],
    });
    const wal = catalog.wal.map((interval) =>
      interval.timeline === 1 ? { ...interval, archivedAt: new Date(0) } : interval,
    );
    const facts = { catalog: { ...catalog, wal }, pins: [], running: [], now: clock(21 * DAY) };
    expect(inUse(evaluateRetention(facts, { keepLast: 1 }))).toEqual([1, 2]);
  });

  test("that is in use and has no backup on its way keeps all its WAL", () => {
    const archive: ArchiveSpec = {
      wal: { 1: "0-50", 2: `40-${9 * DAY}` }, // its history was never archived
      backups: [backup("a", 1, 10), backup("b", 1, 30)],
    };
    const plan = ask({ archive, policy: { keepLast: 1 }, now: 9 * DAY });
    expect(noted(plan).wal).toEqual([
      "1: 0-29 expire: not-needed",
      "1: 30-50 keep: window b",
      `2: 40-${9 * DAY} keep: uncovered`,
    ]);
  });

  test("keeps its history while it leads to anything that stays, or a lower one does: its number must not be given again", () => {
    const archive: ArchiveSpec = {
      histories: {
        2: [[1, 20.5]],
        3: [[1, 10.5]],
        4: [
          [1, 20.5],
          [2, 30.5],
        ],
      },
      wal: { 1: "0-22", 2: "20-32", 3: "10-15", 4: "30-60" },
      backups: [backup("a", 1, 2), backup("b", 2, 25, 40), backup("c", 4, 40, 20 * DAY)],
    };
    const ask4 = (label?: string): RetentionPlan =>
      ask({
        archive,
        policy: { keepLast: 1 },
        now: 21 * DAY,
        pins: label === undefined ? [] : [{ label, until: undefined }],
      });
    expect(inUse(ask4())).toEqual([4]);
    expect(histories(ask4())).toEqual([1, 2, 4]);
    expect(histories(ask4("b"))).toEqual([1, 2, 3, 4]);
    expect(noted(ask4()).wal).toContain("3: 10-15 expire: unreachable");
  });
});

describe("a pinned backup in whose last segment a younger timeline begins", () => {
  test("keeps that segment on both timelines, for replay reads one or the other", () => {
    const archive: ArchiveSpec = {
      histories: { 2: [[1, 11.9]] },
      wal: { 1: "0-20", 2: "11-60" },
      backups: [backup("a", 1, 10), backup("b", 2, 40, 20 * DAY)],
    };
    const plan = ask({ archive, policy: { keepLast: 1 }, now: 21 * DAY, pins: [{ label: "a", until: undefined }] });
    expect(noted(plan).wal).toEqual([
      "1: 0-9 expire: not-needed",
      "1: 10-11 keep: backup a",
      "1: 12-20 expire: unreachable",
      "2: 11-11 keep: backup a",
      "2: 12-39 expire: not-needed",
      "2: 40-60 keep: window b",
    ]);
  });
});

describe("a standby's backup that begins before its timeline does", () => {
  const archive = (wal: ArchiveSpec["wal"]): ArchiveSpec => ({
    histories: { 2: [[1, 50.5]] },
    wal,
    backups: [{ label: "a", timeline: 2, start: 49.2, stop: 52.5, source: "standby" }, backup("b", 2, 70, 20 * DAY)],
  });
  const pins = [{ label: "a", until: undefined }];

  test("keeps what it needs of the older timeline's WAL", () => {
    const plan = ask({ archive: archive({ 1: "0-60", 2: "50-90" }), policy: { keepLast: 1 }, now: 21 * DAY, pins });
    expect(plan.backups[0]?.restorable).toBe(true);
    expect(noted(plan).wal.filter((line) => line.includes("keep"))).toEqual([
      "1: 49-50 keep: backup a",
      "2: 50-52 keep: backup a",
      "2: 70-90 keep: window b",
    ]);
  });

  test.each(["50 52-90", "50-51 53-90", "51-90"])("cannot be restored from %s of its own", (wal) => {
    const plan = ask({ archive: archive({ 1: "0-60", 2: wal }), policy: { keepLast: 1 }, now: 21 * DAY, pins });
    expect(plan.backups[0]?.restorable).toBe(false);
  });
});

describe("a backup that fits nothing in the archive", () => {
  const archive: ArchiveSpec = {
    histories: { 2: [[1, 50.5]] },
    wal: { 1: "0-50", 2: "50-90" },
    backups: [
      { label: "contradicts its history", timeline: 2, start: 30.2, stop: 31.7, stopClock: 95 },
      { label: "of other segments", timeline: 2, start: 60.2, stop: 61.7, stopClock: 96, segmentSize: 2 ** 20 },
      backup("good", 2, 60, 94),
    ],
  };

  test("is not counted, and stays only while it is among the newest", () => {
    const plan = ask({ archive, policy: { keepLast: 1 }, now: 100 });
    expect(plan.backups.map(({ restorable }) => restorable)).toEqual([true, false, false]);
    expect(noted(plan).backups).toEqual({
      good: "keep: last",
      "contradicts its history": "keep: in-window",
      "of other segments": "keep: in-window",
    });
    const later = { ...archive, backups: [...archive.backups, backup("new", 2, 80, 98)] };
    expect(noted(ask({ archive: later, policy: { keepLast: 1 }, now: 100 })).backups).toMatchObject({
      "contradicts its history": "expire: not-restorable",
      "of other segments": "expire: not-restorable",
    });
  });
});
