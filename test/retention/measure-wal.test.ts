import { expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { segmentFileName } from "../../src/postgres/wal-file-name.ts";
import { walKey } from "../../src/repository/layout.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { listRange } from "../../src/retention/list-range.ts";
import { measureWal } from "../../src/retention/measure-wal.ts";
import { subtractRanges } from "../../src/retention/wal-range.ts";
import { identity, newRepository, walSegmentSize } from "../repository/backup-fixture.ts";

const life = { identity, walSegmentSize };
const one = timelineId(1);

async function withSegments(timeline: number, first: number, last: number): Promise<Repository> {
  const repository = await newRepository();
  for (let segment = first; segment <= last; segment++) {
    const name = segmentFileName(timelineId(timeline), BigInt(segment), walSegmentSize);
    for (const file of [name, `${name}.partial`]) {
      const body = new Uint8Array(file === name ? segment % 7 : 1000);
      await repository.store.put(walKey("main", identity, file, false), body, { ifAbsent: true });
    }
  }
  for (const file of ["00000001000000000000000A.00000028.backup", "00000002.history"]) {
    await repository.store.put(walKey("main", identity, file, false), new Uint8Array(1000), { ifAbsent: true });
  }
  return repository;
}

test.each([
  [0, 600],
  [10, 20],
  [255, 256],
  [300, 10_000],
  [0, 0],
])("lists the segments from %i to %i, across log folders, and nothing else", async (first, last) => {
  const repository = await withSegments(1, 0, 600);
  const found: bigint[] = [];
  const range = { timeline: one, first: BigInt(first), last: BigInt(last) };
  for await (const { segment } of listRange(repository, life, range, {})) found.push(segment);
  const wanted = Array.from({ length: Math.min(last, 600) - first + 1 }, (_, index) => BigInt(first + index));
  expect(found).toEqual(wanted);
});

test("adds up what a few segments take, exactly", async () => {
  const repository = await withSegments(1, 0, 30);
  const ranges = [
    { timeline: one, first: 0n, last: 6n },
    { timeline: one, first: 8n, last: 9n },
  ];
  expect(await measureWal(repository, life, ranges, {})).toEqual({ segments: 9, bytes: 21 + 1 + 2, estimated: false });
});

test("reckons what very many take from samples of all their parts", async () => {
  const repository = await newRepository();
  const lists: string[] = [];
  // Ever larger ones: a sample of the first alone would be far off.
  repository.store.list = async function* (folder, { startAfter = "" } = {}) {
    lists.push(folder);
    const name = startAfter.slice(-24);
    const after = Number.parseInt(name.slice(8, 16), 16) * 256 + Number.parseInt(name.slice(16), 16);
    for (let segment = after; ; segment++) {
      const key = walKey("main", identity, segmentFileName(one, BigInt(segment), walSegmentSize), false);
      if (!key.startsWith(folder)) return;
      yield { key, size: segment >> 8, modified: new Date(0) };
    }
  };
  const segments = 2_000_000;
  const measured = await measureWal(repository, life, [{ timeline: one, first: 0n, last: BigInt(segments) - 1n }], {});
  const truth = (segments / 256 / 2) * segments;
  expect(measured).toMatchObject({ segments, estimated: true });
  expect(Math.abs(measured.bytes / truth - 1)).toBeLessThan(0.02);
  expect(lists.length).toBeLessThan(1000);
});

test("ranges lose what is spared, in the middle and at the ends, and only on its timeline", () => {
  const range = (first: number, last: number, timeline = 1) => ({
    timeline: timelineId(timeline),
    first: BigInt(first),
    last: BigInt(last),
  });
  expect(subtractRanges([range(0, 9), range(0, 9, 2)], [range(4, 5), range(8, 20), range(30, 40)])).toEqual([
    range(0, 3),
    range(6, 7),
    range(0, 9, 2),
  ]);
  expect(subtractRanges([range(4, 5)], [range(0, 9)])).toEqual([]);
});
