import { describe, expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import {
  forkFromPath,
  knownTimelines,
  latestTimeline,
  legAt,
  timelinePath,
} from "../../src/repository/timeline-path.ts";
import { at, buildCatalog } from "../restore/archive-builder.ts";

const catalog = buildCatalog({
  histories: {
    2: [[1, 9.5]],
    3: [
      [1, 9.5],
      [2, 12.5],
    ],
    4: [
      [1, 9.5],
      [2, 5.5],
    ],
  },
  wal: { 1: "1-9", 6: "20-21" },
  backups: [{ label: "b", timeline: 5, start: 1.5, stop: 1.75 }],
  partials: [[7, 30]],
});

describe("knownTimelines", () => {
  test("counts histories, WAL, partial segments and backups", () => {
    expect(knownTimelines(catalog)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(latestTimeline(catalog)).toBe(7);
  });

  test("is empty for an empty archive", () => {
    expect(latestTimeline(buildCatalog({ wal: {}, backups: [] }))).toBeUndefined();
  });
});

describe("timelinePath", () => {
  test.each([
    ["the first timeline has no ancestors", 1, [[1, 0, undefined]], false],
    [
      "a history gives each ancestor's part",
      3,
      [
        [1, 0, 9.5],
        [2, 9.5, 12.5],
        [3, 12.5, undefined],
      ],
      false,
    ],
    [
      "the lowest later switch point bounds all ancestors",
      4,
      [
        [1, 0, 5.5],
        [2, 9.5, 5.5],
        [4, 5.5, undefined],
      ],
      false,
    ],
    ["a timeline without its history stands alone", 6, [[6, 0, undefined]], true],
  ] as const)("%s", (_title, timeline, legs, historyMissing) => {
    const path = timelinePath(catalog, timelineId(timeline));
    expect(path.legs).toEqual(
      legs.map(([id, begin, end]) => ({
        timeline: id,
        begin: at(begin),
        end: end === undefined ? undefined : at(end),
      })),
    );
    expect(path.historyMissing).toBe(historyMissing);
  });
});

test("a switch point belongs to the younger timeline, and an empty timeline to no position", () => {
  const path = timelinePath(catalog, timelineId(3));
  expect([9.25, 9.5, 12.25, 12.5].map((position) => legAt(path, at(position)).timeline)).toEqual([1, 2, 2, 3]);
  const falling = timelinePath(catalog, timelineId(4));
  expect([5.25, 5.5, 10].map((position) => legAt(falling, at(position)).timeline)).toEqual([1, 4, 4]);
});

test("a branch is told by the youngest timeline that both share", () => {
  const path = timelinePath(catalog, timelineId(4));
  expect(forkFromPath(catalog, path, timelineId(3))).toMatchObject({ timeline: 2, end: at(12.5) });
  expect(forkFromPath(catalog, path, timelineId(6))).toBeUndefined();
});
