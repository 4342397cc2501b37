import { expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { backupFolder, backupRecordKey, begunKey, walFolder } from "../../src/repository/layout.ts";
import { encodeRecord } from "../../src/repository/records.ts";
import { identity } from "../repository/backup-fixture.ts";
import { at } from "../restore/archive-builder.ts";
import { longHistory, policy } from "./apply-deletion-fixture.ts";
import { PrunableRepository, segmentSize } from "./prunable-repository.ts";

test("WAL that a backup needs which was begun after the decision stays, be it in the past", async () => {
  const world = await longHistory();
  let begun = false;
  // A standby lags behind by weeks; its backup begins when the first WAL is about to go.
  world.store.beforeDelete = async (keys) => {
    if (begun || !keys.some((key) => key.includes("/data/"))) return;
    begun = true;
    const { now } = world;
    await world.begin(world.timeOf(40 * 24 + 5), { timeline: timelineId(1), lsn: at(4 * 24, segmentSize) });
    world.passTime(now.getTime() - world.now.getTime());
  };
  const before = (await world.keys(walFolder("main", identity))).length;
  const applied = await world.prune(policy);
  expect(applied.segmentsSpared).toBeGreaterThan(100);
  expect(applied.segments).toBeGreaterThan(10);
  const left = await world.keys(walFolder("main", identity));
  expect(before - left.length).toBe(applied.segments);
  const first = left.filter((key) => key.includes("/00000001/00000000/"))[0] ?? "";
  expect(first.slice(-12, -4)).toBe((4 * 24).toString(16).toUpperCase().padStart(8, "0"));
});

test("a backup that is being taken is not touched, and nothing that it may need; an abandoned one is swept after its grace", async () => {
  const world = await longHistory();
  const { running, abandoned } = await world.plan(policy);
  expect({ running: running.length, abandoned: abandoned.length }).toEqual({ running: 1, abandoned: 0 });
  const label = running[0]?.label ?? "";
  await world.prune({ keepLast: 1 });
  expect(await world.keys(backupFolder("main", identity, label))).toHaveLength(2);

  world.passTime(23 * 3600_000);
  const sign = `${backupFolder("main", identity, label)}alive/000001.json`;
  await world.store.put(sign, encodeRecord({ kind: "pgark alive" }), { ifAbsent: true });
  world.passTime(23 * 3600_000);
  expect((await world.prune({ keepLast: 1 })).swept).toEqual([]);

  world.passTime(2 * 3600_000);
  expect((await world.prune({ keepLast: 1 })).swept).toEqual([label]);
  expect(await world.keys(backupFolder("main", identity, label))).toEqual([]);
});

test("a writer that is heard of at the last moment keeps its backup, and so does one that completes it", async () => {
  const world = await longHistory();
  const [first] = (await world.plan(policy)).running;
  const label = first?.label ?? "";
  world.passTime(25 * 3600_000);
  const folder = backupFolder("main", identity, label);
  const { deletion } = await world.plan(policy);
  expect(deletion.abandoned).toEqual([label]);
  world.store.beforeDelete = async (keys) => {
    if (keys.some((key) => key.startsWith(folder))) throw new Error("it was touched");
    if (!(await world.keys(`${folder}alive/`)).includes(`${folder}alive/000001.json`)) {
      await world.store.put(`${folder}alive/000001.json`, new Uint8Array(1), { ifAbsent: true });
    }
  };
  expect((await world.prune(policy)).swept).toEqual([]);
});

test("a marker of an older pgark protects all WAL since the backup before it, and its backup for a week", async () => {
  const world = await PrunableRepository.create();
  await world.archive(1, 0, 9);
  await world.backup({ start: 2.5, stop: 3.5 });
  const second = await world.backup({ start: 7.5, stop: 8.5 });
  await world.archive(1, 10, 20);
  const label = await world.begin(world.now, undefined);
  await world.archive(1, 21, 30);
  await world.backup({ start: 28.5, stop: 29.5 });
  const { deletion } = await world.plan({ keepLast: 1 });
  expect(deletion.backups.map((backup) => backup.label)).toContain(second);
  const goes = deletion.wal.map(({ last }) => last);
  expect(goes.every((last) => last < 7n)).toBe(true);
  world.passTime(6 * 24 * 3600_000);
  expect((await world.prune({ keepLast: 1 })).swept).toEqual([]);
  world.passTime(2 * 24 * 3600_000);
  expect((await world.prune({ keepLast: 1 })).swept).toEqual([label]);
});

test("a folder without a marker is what a deletion has left, and goes at once", async () => {
  const world = await longHistory();
  const [label = ""] = await world.labels();
  await world.store.delete([begunKey("main", identity, label), backupRecordKey("main", identity, label)]);
  expect((await world.prune({ keepLast: 100 })).swept).toEqual([label]);
  expect(await world.keys(backupFolder("main", identity, label))).toEqual([]);
});
