import { describe, expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { checkHistories } from "../../src/verify/check-histories.ts";
import { buildCatalog } from "../restore/archive-builder.ts";
import type { ArchiveSpec } from "../restore/archive-builder.ts";

function faults(spec: Omit<ArchiveSpec, "backups">, lost: readonly number[] = []): readonly string[] {
  const found = checkHistories(buildCatalog({ ...spec, backups: [] }), lost.map(timelineId));
  return found.map(({ kind, timeline, doubtful }) => `${kind} ${timeline} (${doubtful.join()})`);
}

describe("the histories of an archive", () => {
  test("are fine where they agree with one another and with the WAL", () => {
    const histories = {
      2: [[1, 5.5]],
      3: [
        [1, 5.5],
        [2, 8],
      ],
      4: [[1, 6.25]],
    } as const;
    expect(faults({ histories, wal: { 1: "1-9", 2: "5-9", 3: "8-9", 4: "6-7" } })).toEqual([]);
  });

  test("lack one that leads on from an older timeline", () => {
    expect(faults({ wal: { 1: "1-9", 2: "5-9" } })).toEqual(["missing 2 (2)"]);
  });

  test("need none of the first timeline, which may have been archived elsewhere", () => {
    expect(faults({ wal: { 5: "1-9" } })).toEqual([]);
  });

  test("are not called missing when they are there and cannot be read", () => {
    expect(faults({ wal: { 1: "1-9", 2: "5-9" } }, [2])).toEqual([]);
  });

  test("contradict WAL from before the timeline began", () => {
    expect(faults({ histories: { 2: [[1, 6.5]] }, wal: { 1: "1-9", 2: "5-9" } })).toEqual(["contradiction 2 (2)"]);
  });

  test("do not contradict WAL whose beginning is missing: that is a hole", () => {
    expect(faults({ histories: { 2: [[1, 4.5]] }, wal: { 1: "1-9", 2: "5-9" } })).toEqual([]);
  });

  test.each([
    [
      "another switch point",
      [
        [1, 5.75],
        [2, 8],
      ],
    ],
    ["another parent", [[2, 8]]],
  ] as const)("contradict a younger one with %s, and nobody knows which is right", (_title, younger) => {
    expect(faults({ histories: { 2: [[1, 5.5]], 3: younger }, wal: { 1: "1-9", 2: "5-9", 3: "8-9" } })).toEqual([
      "contradiction 2 (2,3)",
    ]);
  });
});
