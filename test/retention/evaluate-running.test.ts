import { describe, expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { at, clock } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";
import { ask, backup, DAY, noted } from "./retention-cases.ts";

describe("a backup that is being taken", () => {
  const archive: ArchiveSpec = {
    histories: { 2: [[1, 50.5]] },
    wal: { 1: "0-50", 2: "50-90" },
    backups: [backup("a", 1, 10), backup("b", 1, 30), backup("c", 2, 60, 3 * DAY)],
  };
  const policy = { keepLast: 1 };
  const now = 4 * DAY;

  test("protects the WAL from the position that it named, on its timeline and those that follow", () => {
    const walFrom = { timeline: timelineId(1), lsn: at(40.5) };
    const running = [{ label: "r", begun: clock(45), walFrom }];
    expect(noted(ask({ archive, policy, now, running })).wal).toEqual([
      "1: 0-29 expire: not-needed",
      "1: 30-50 keep: window b",
      "2: 50-90 keep: window b",
    ]);
    const late = [{ label: "r", begun: clock(4 * DAY), walFrom: { timeline: timelineId(2), lsn: at(55.5) } }];
    expect(noted(ask({ archive, policy, now, running: late })).wal).toEqual([
      "1: 0-50 expire: unreachable",
      "2: 50-54 expire: not-needed",
      "2: 55-59 keep: running r",
      "2: 60-90 keep: window c",
    ]);
  });

  test("protects, while it has named none, all WAL since the newest backup that began before it", () => {
    const running = [{ label: "r", begun: clock(25), walFrom: undefined }];
    expect(noted(ask({ archive, policy, now, running })).wal).toEqual([
      "1: 0-9 expire: not-needed",
      "1: 10-50 keep: running r",
      "2: 50-59 keep: running r",
      "2: 60-90 keep: window c",
    ]);
  });

  test("protects all WAL when no backup began before it, or when its timeline is not known", () => {
    const first = [{ label: "r", begun: clock(5), walFrom: undefined }];
    const strange = [{ label: "r", begun: clock(5), walFrom: { timeline: timelineId(7), lsn: at(80) } }];
    for (const running of [first, strange]) {
      const { wal } = noted(ask({ archive, policy, now, running }));
      expect(wal).toEqual(["1: 0-50 keep: running r", "2: 50-59 keep: running r", "2: 60-90 keep: window c"]);
    }
  });
});
