import { expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { acknowledgeHole, isAcknowledged, loadAcknowledgedHoles } from "../../src/repository/acknowledged-holes.ts";
import type { AcknowledgedHole } from "../../src/repository/acknowledged-holes.ts";
import { acknowledgedFolder } from "../../src/repository/layout.ts";
import { keys } from "../storage/store-probes.ts";
import { identity, moment, newRepository, walSegmentSize } from "./backup-fixture.ts";

const life = { identity, walSegmentSize };

function hole(first: number, last: number, timeline = 1): AcknowledgedHole {
  const said = { reason: "disk lost", acknowledged: moment, host: "db1" };
  return { timeline: timelineId(timeline), first: BigInt(first), last: BigInt(last), ...said };
}

test("a hole is written down under the names of its segments, once, and comes back as it was", async () => {
  const repository = await newRepository();
  expect(await acknowledgeHole(repository, life, hole(255, 257, 10), {})).toBe(true);
  expect(await acknowledgeHole(repository, life, hole(255, 257, 10), {})).toBe(false);
  const folder = acknowledgedFolder(repository.cluster, identity);
  const name = "0000000A00000000000000FF-0000000A0000000100000001.json";
  expect(await keys(repository.store, folder)).toEqual([`${folder}${name}`]);
  expect(await loadAcknowledgedHoles(repository, life, {})).toEqual([hole(255, 257, 10)]);
});

test.each([
  [1, 3, 5, true],
  [1, 4, 4, true],
  [1, 3, 9, true],
  [1, 2, 3, false],
  [1, 9, 10, false],
  [1, 12, 12, true],
  [1, 3, 12, false],
  [2, 3, 5, false],
])("of timeline %i, segments %i to %i are known to be missing: %s", (timeline, first, last, expected) => {
  const known = [hole(12, 12), hole(3, 5), hole(5, 7), hole(8, 9)];
  expect(isAcknowledged(known, hole(first, last, timeline))).toBe(expected);
});
