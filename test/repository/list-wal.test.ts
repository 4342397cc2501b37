import fc from "fast-check";
import { expect, test } from "vitest";
import { PgarkError } from "../../src/errors.ts";
import { formatTimeline, timelineId } from "../../src/postgres/timeline.ts";
import { segmentFileName } from "../../src/postgres/wal-file-name.ts";
import { walFolder, walKey } from "../../src/repository/layout.ts";
import { listWal } from "../../src/repository/list-wal.ts";
import type { ListedWal } from "../../src/repository/list-wal.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import type { ListOptions, ObjectInfo, ObjectStore } from "../../src/storage/object-store.ts";
import { identity, newRepository } from "./backup-fixture.ts";
import { SyntheticWal } from "./synthetic-wal.ts";

const MIB = 1024 * 1024;
const folder = walFolder("main", identity);

/** A repository with these keys, each written a second after the one before; without encryption. */
async function repositoryWith(keys: Iterable<string>): Promise<Repository> {
  let seconds = 0;
  const store = new MemoryStore(() => new Date(seconds++ * 1000));
  for (const key of new Set(keys)) await store.put(key, new Uint8Array(1), { ifAbsent: true });
  return { ...(await newRepository()), store };
}

function withList(repository: Repository, list: ObjectStore["list"]): Repository {
  const { store } = repository;
  const changed = Object.assign(Object.create(store) as ObjectStore, {
    list,
    listFolders: store.listFolders.bind(store),
  });
  return { ...repository, store: changed };
}

/** The keys of the segments `first` to `last` of a timeline. */
function segmentKeys(timeline: number, first: bigint, last: bigint, size: number): readonly string[] {
  return Array.from({ length: Number(last - first) + 1 }, (_, index) =>
    walKey("main", identity, segmentFileName(timelineId(timeline), first + BigInt(index), size), false),
  );
}

/** One list from front to back, and every segment a number of its own until the end. */
async function listInOneGo({ store }: Repository, size: number): Promise<ListedWal> {
  const segments: { timeline: number; number: bigint; modified: Date }[] = [];
  const partials: { timeline: number; number: bigint }[] = [];
  const histories: number[] = [];
  for await (const { key, modified } of store.list(folder)) {
    const match = /\/([0-9A-F]{8})(?:\.(history)|([0-9A-F]{8})([0-9A-F]{8})(\.partial)?)\.zst$/.exec(key);
    // Whoever wants a file asks for it in its own folder: elsewhere it is not there.
    if (match === null || key !== walKey("main", identity, match[0].slice(1, -".zst".length), false)) continue;
    const [, tli = "", history, log = "", segment = "", partial] = match;
    const number = BigInt(`0x${log}0`) * BigInt(0x10000000 / size) + BigInt(`0x${segment}0`) / 16n;
    const timeline = Number.parseInt(tli, 16);
    if (history !== undefined) histories.push(timeline);
    else if (partial === undefined) segments.push({ timeline, number, modified });
    else partials.push({ timeline, number });
  }
  const isFirst = segments.map(
    ({ timeline, number }, index) =>
      segments[index - 1]?.timeline !== timeline || segments[index - 1]?.number !== number - 1n,
  );
  const starts = [...isFirst.keys()].filter((index) => isFirst[index]);
  return {
    intervals: starts.map((start, index) => {
      const [first, last] = [segments[start], segments[(starts[index + 1] ?? segments.length) - 1]];
      if (first === undefined || last === undefined) throw new Error("no segment");
      const [timeline, archivedAt] = [timelineId(first.timeline), last.modified];
      return { timeline, first: first.number, last: last.number, archivedAt };
    }),
    partials: partials.map(({ timeline, number }) => ({ timeline: timelineId(timeline), segment: number })),
    timelinesWithHistory: histories.map(timelineId),
  };
}

interface SomeTimeline {
  readonly timeline: number;
  /** a run of log folders from this one on: in each some of the first two and last two segments, as the bits say */
  readonly firstLog: number;
  readonly logs: readonly number[];
  readonly extras: readonly string[];
}

const someTimeline: fc.Arbitrary<SomeTimeline> = fc.record({
  timeline: fc.constantFrom(1, 2, 0x0a, 0x10, 0xffffffff),
  firstLog: fc.constantFrom(0, 1, 9, 0xfffe, 0xfffffe00),
  logs: fc.array(fc.constantFrom(0b1111, 0b1111, 0b1111, 0b1001, 0b0111, 0b1110, 0b0100, 0), {
    maxLength: 200,
    size: "max",
  }),
  // Among the log folders by name, before and behind them.
  extras: fc.subarray([
    "TLI.history.zst",
    "TLI.history.zst.age",
    "TLI0000000100000002.00000028.backup.zst",
    "00000001/TLI0000000100000003.partial.zst",
    "0000000A/TLI0000000A00000002.partial.zst",
    "0000000A/TLI0000000A00000002.zst.tmp",
    "00000003/TLI0000000700000001.zst",
    "0000000a/TLI0000000A00000001.zst",
    "00000009",
    "00000009.d/x",
    "00000001/deeper/x",
    "é/x",
    "zzz/x",
  ]),
});

function keysOf({ timeline, firstLog, logs, extras }: SomeTimeline, size: number): readonly string[] {
  const perLog = BigInt(0x100000000 / size);
  const places = [0n, 1n, perLog - 2n, perLog - 1n];
  const numbers = logs.flatMap((bits, index) =>
    places.filter((_, bit) => (bits & (1 << bit)) !== 0).map((place) => BigInt(firstLog + index) * perLog + place),
  );
  const tli = formatTimeline(timelineId(timeline));
  return [
    ...numbers.flatMap((number) => segmentKeys(timeline, number, number, size)),
    ...extras.map((extra) => `${folder}${tli}/${extra.replaceAll("TLI", tli)}`),
  ];
}

test.each([1, 16, 64])("whatever lies there, ranges find what one list finds, with segments of %i MB", async (mib) => {
  const size = mib * MIB;
  const strays = fc.subarray(["0", "00000001", "00000002.d/x", "new/00000001/x", "😀", "zzz"]);
  let most = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(someTimeline, { maxLength: 4 }), strays, async (timelines, others) => {
      const keys = timelines.flatMap((timeline) => keysOf(timeline, size));
      const repository = await repositoryWith([...keys, ...others.map((name) => folder + name)]);
      let lists = 0;
      const counting = withList(repository, (prefix, options) => {
        lists++;
        return repository.store.list(prefix, options);
      });
      expect(await listWal(counting, identity, size, {})).toEqual(await listInOneGo(repository, size));
      most = Math.max(most, lists);
    }),
    { numRuns: 60 },
  );
  expect(most).toBeGreaterThan(mib === 64 ? 5 : 10);
});

test("sixteen lists are under way at once, over several timelines, and no more", async () => {
  const keys = [1, 2, 3].flatMap((timeline) =>
    Array.from({ length: 16 }, (_, log) => segmentKeys(timeline, BigInt(log) * 4096n, BigInt(log) * 4096n + 1n, MIB)),
  );
  const repository = await repositoryWith(keys.flat());
  const all = Promise.withResolvers<void>();
  let underWay = 0;
  // Nobody's list goes on before all have begun: one after the other they would wait for ever.
  async function* list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    if (++underWay === 16) all.resolve();
    await all.promise;
    yield* repository.store.list(prefix, options);
  }
  const { intervals } = await listWal(withList(repository, list), identity, MIB, {});
  expect(intervals).toHaveLength(48);
  expect(underWay).toBe(16);
});

test("a small repository takes one list of objects", async () => {
  const keys = [1, 2, 3].flatMap((timeline) => segmentKeys(timeline, 250n, 1000n, 16 * MIB));
  const repository = await repositoryWith(keys);
  const asked: unknown[] = [];
  const counting = withList(repository, (prefix, options) => {
    asked.push([prefix, options?.startAfter]);
    return repository.store.list(prefix, options);
  });
  const { intervals } = await listWal(counting, identity, 16 * MIB, {});
  expect(intervals.map(({ timeline, first, last }) => [timeline, first, last])).toEqual([
    [1, 250n, 1000n],
    [2, 250n, 1000n],
    [3, 250n, 1000n],
  ]);
  expect(asked).toEqual([[folder, undefined]]);
});

test("when one list fails the others stop, and its reason is the one that is told", async () => {
  const repository = await repositoryWith(
    segmentKeys(1, 0n, 16n * 4096n - 1n, MIB).filter((_, index) => index % 64 === 0),
  );
  let stopped = 0;
  async function* list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    if (options.startAfter?.endsWith("/00000005/") === true) {
      throw new PgarkError("denied", "not for you", { operation: "list objects", object: prefix });
    }
    // An endless list, until somebody says that it need not go on.
    for (let count = 0; ; count++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (options.signal?.aborted === true) {
        stopped++;
        throw new PgarkError("aborted", "stopped", { operation: "list objects", object: prefix });
      }
      const key = `${options.startAfter ?? prefix}${String(count).padStart(9, "0")}`;
      yield { key, size: 1, modified: new Date(0) };
    }
  }
  const failing = listWal(withList(repository, list), identity, MIB, {});
  await expect(failing).rejects.toMatchObject({ code: "denied" });
  await expect.poll(() => stopped).toBeGreaterThan(3);
});

test("a store that lists in another order, or always from the beginning, is refused: WAL would be missed", async () => {
  const repository = await repositoryWith(segmentKeys(1, 4090n, 4100n, MIB));
  const fromTheBeginning = withList(repository, (prefix) => repository.store.list(prefix));
  await expect(listWal(fromTheBeginning, identity, MIB, {})).rejects.toMatchObject({ code: "refused" });
  const backwards = withList(repository, async function* list(prefix, options) {
    const objects: ObjectInfo[] = [];
    for await (const object of repository.store.list(prefix, options)) objects.unshift(object);
    yield* objects;
  });
  await expect(listWal(backwards, identity, MIB, {})).rejects.toMatchObject({ code: "refused" });
  expect((await listWal(repository, identity, MIB, {})).intervals).toHaveLength(1);
});

test("a segment that cannot exist with segments of this size is an error", async () => {
  const repository = await repositoryWith(segmentKeys(1, 0n, 255n, 16 * MIB));
  await expect(listWal(repository, identity, 64 * MIB, {})).rejects.toMatchObject({ code: "corrupt" });
});

test("who looks at all objects is shown which of them do not belong, such as a segment in another one's folder", async () => {
  const good = segmentKeys(1, 0n, 3n, 16 * MIB);
  const strange = [
    `${folder}00000001/00000001/000000010000000000000004.zst`,
    `${folder}00000002/00000000/000000010000000000000004.zst`,
    `${folder}00000001/00000000/0000000100000000000001FF.zst`,
    `${folder}00000001/00000000/000000010000000000000005.zst.age`,
    `${folder}00000001/00000000/0000000A.history.zst`,
    `${folder}note.txt`,
  ];
  const repository = await repositoryWith([...good, ...strange]);
  const seen = new Map<string, string | undefined>();
  const onObject = (object: { readonly key: string }, name: { readonly kind: string } | undefined): void =>
    void seen.set(object.key, name?.kind);
  const { intervals } = await listWal(repository, identity, 16 * MIB, { onObject });
  expect(intervals).toMatchObject([{ first: 0n, last: 3n }]);
  expect(seen).toEqual(
    new Map([...good.map((key) => [key, "segment"] as const), ...strange.map((key) => [key, undefined] as const)]),
  );
});

test("a month of WAL, 2.6 million segments, is listed in the memory of its holes, each key once", async () => {
  const store = new SyntheticWal(folder, { timelines: 2, logsEach: 5100, perLog: 256, holeEvery: 100_003 });
  const { intervals, timelinesWithHistory } = await listWal(
    { ...(await newRepository()), store },
    identity,
    16 * MIB,
    {},
  );
  const segments = intervals.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
  expect(segments).toBe(BigInt(2 * 5100 * 256 - store.holes));
  expect(intervals).toHaveLength(store.holes + 2);
  expect(intervals.at(0)).toMatchObject({ timeline: 1, first: 0n, last: 100_001n });
  expect(intervals.at(-1)).toMatchObject({ timeline: 2, last: 5100n * 256n - 1n });
  expect(timelinesWithHistory).toEqual([2]);
  // What is asked for twice are the keys at which ranges stop.
  expect(store.keysGiven).toBeLessThan(2 * 5100 * 256 + 32);
  expect(store.heapGrowth).toBeLessThan(150 * MIB);
  expect(store.listsGiven).toBe(16);
});
