import { describe, expect, test } from "vitest";
import { findWalHoles } from "../../src/restore/wal-holes.ts";
import { buildCatalog } from "./archive-builder.ts";
import type { ArchiveSpec } from "./archive-builder.ts";

/** "1:5-6": segments 5 to 6 of timeline 1 */
function holes(spec: ArchiveSpec): readonly string[] {
  return findWalHoles(buildCatalog(spec)).map(({ timeline, first, last }) => `${timeline}:${first}-${last}`);
}

const first = { label: "first", start: 2.25, stop: 2.5 };
const second = { label: "second", start: 8.25, stop: 8.5 };
const branch = { 2: [[1, 5.5]] } as const;

describe("findWalHoles", () => {
  test.each<readonly [string, ArchiveSpec, readonly string[]]>([
    ["finds none where nothing is missing", { wal: { 1: "1-9" }, backups: [first, second] }, []],
    ["finds none without a backup, whatever is missing", { wal: { 1: "1-3 5-9" }, backups: [] }, []],
    ["does not ask for WAL from before the first backup", { wal: { 1: "2-9" }, backups: [first] }, []],
    ["finds what lies between", { wal: { 1: "1-4 7-9" }, backups: [first] }, ["1:5-6"]],
    ["finds each hole, by segment", { wal: { 1: "2-3 5 8-9" }, backups: [first] }, ["1:4-4", "1:6-7"]],
    ["finds the first segment of a backup", { wal: { 1: "3-9" }, backups: [first] }, ["1:2-2"]],
    [
      "finds what a backup needs behind the end of the archive",
      { wal: { 1: "2-7" }, backups: [first, second] },
      ["1:8-8"],
    ],
    [
      "finds all of it where there is no WAL at all",
      { wal: {}, backups: [{ label: "long", start: 2.25, stop: 4.5 }] },
      ["1:2-4"],
    ],
    [
      "does not ask for the segment behind a backup that ends at its boundary",
      { wal: { 1: "2" }, backups: [{ label: "edge", start: 2.25, stop: 3 }] },
      [],
    ],
    [
      "finds what a younger timeline needs of an older one that goes on",
      { histories: branch, wal: { 1: "2-3 7-9", 2: "5-6" }, backups: [first] },
      ["1:4-6"],
    ],
    [
      "asks of an abandoned timeline no more than leads to the younger one",
      { histories: branch, wal: { 1: "2-4", 2: "5-9" }, backups: [first] },
      [],
    ],
    [
      "asks the younger timeline for the segment that it begins in",
      { histories: branch, wal: { 1: "2-9", 2: "6-9" }, backups: [first] },
      ["2:5-5"],
    ],
    [
      "does not ask a timeline for WAL of which none was archived yet, but for the way to it",
      { histories: branch, wal: { 1: "2-3" }, backups: [first] },
      ["1:4-4"],
    ],
    [
      "follows a timeline without a history by itself",
      { wal: { 1: "2-4", 2: "5-6 8-9" }, backups: [{ label: "on 2", timeline: 2, start: 5.25, stop: 5.5 }] },
      ["2:7-7"],
    ],
  ])("%s", (_title, spec, expected) => {
    expect(holes(spec)).toEqual(expected);
  });
});
