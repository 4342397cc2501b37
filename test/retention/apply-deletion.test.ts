import { expect, test } from "vitest";
import { loadRetainedLife } from "../../src/cli/retained-life.ts";
import { lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { takeLease } from "../../src/repository/lease.ts";
import { encodeRecord } from "../../src/repository/records.ts";
import { backupFolder, backupRecordKey, begunKey, walFolder } from "../../src/repository/layout.ts";
import { planRecovery } from "../../src/restore/plan-recovery.ts";
import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import type { WindowInterval } from "../../src/restore/recovery-plan.ts";
import { surveyCatalog } from "../../src/retention/survey.ts";
import { identity } from "../repository/backup-fixture.ts";
import { at } from "../restore/archive-builder.ts";
import { PrunableRepository, run, segmentSize } from "./prunable-repository.ts";

const policy = { keepLast: 2, keepWeekly: 3 };

/** Forty days, a promotion, a clone's abandoned branch, a pinned backup and one that is being taken. */
async function longHistory(): Promise<PrunableRepository> {
  const world = await PrunableRepository.create();
  const labels: string[] = [];
  const days = async (timeline: number, from: number, to: number): Promise<void> => {
    for (let day = from; day < to; day += 3) {
      await world.archive(timeline, day * 24, (day + 3) * 24 - 1);
      labels.push(await world.backup({ timeline, start: day * 24 + 2.5, stop: day * 24 + 3.25 }));
    }
  };
  await world.archive(1, 0, 0);
  await days(1, 1, 13);
  await world.branch(2, [[1, 13 * 24 + 0.5]]);
  await days(2, 13, 28);
  await world.branch(3, [[1, 10 * 24 + 0.5]]);
  await world.archive(3, 10 * 24, 10 * 24 + 3);
  await world.branch(4, [
    [1, 13 * 24 + 0.5],
    [2, 28 * 24 + 0.5],
  ]);
  await days(4, 28, 40);
  await world.pin(labels[1] ?? "");
  await world.begin(world.timeOf(39 * 24 + 20), { timeline: timelineId(4), lsn: at(39 * 24 + 1, segmentSize) });
  world.passTime(3600_000);
  return world;
}

/** Throws unless everything that is listed can be restored: its packs and its WAL are there. */
async function expectConsistent(world: PrunableRepository): Promise<void> {
  const { catalog } = await loadRetainedLife(run, world.repository, identity);
  const restorable = surveyCatalog(catalog).restorable;
  for (const backup of catalog.backups) {
    const { label } = backup;
    expect(restorable.has(backup), label).toBe(true);
    const there = await world.keys(backupFolder("main", identity, label));
    const names = there.map((key) => key.slice(key.lastIndexOf("/") + 1));
    expect(names).toEqual(expect.arrayContaining(["000000.tar.zst", "000001.tar.zst", "manifest.jsonl.zst"]));
  }
}

async function expectPromised(world: PrunableRepository, promised: readonly WindowInterval[]): Promise<void> {
  const { catalog } = await loadRetainedLife(run, world.repository, identity);
  for (const { timeline, from, to } of promised) {
    for (const position of [from.lsn, lsn((from.lsn + to.lsn) / 2n), to.lsn]) {
      const target = { kind: "lsn", lsn: position, inclusive: true } as const;
      const plan = planRecovery(catalog, { target, timeline, backup: undefined });
      expect({ timeline, position, kind: plan.kind }).toEqual({ timeline, position, kind: "plan" });
    }
  }
}

test("killed at each deletion in turn, what is listed can be restored, all that was promised can, and the next run ends it", async () => {
  const world = await longHistory();
  const { windowAfter, frees } = await world.plan(policy);
  const undisturbed = await world.copy();
  const applied = await undisturbed.prune(policy);
  expect(applied.stayed.count).toBe(0);
  expect({ segments: applied.segments, backups: applied.backups.length }).toEqual({
    segments: frees.segments,
    backups: frees.backups,
  });
  expect(applied.backups.length).toBeGreaterThan(5);
  expect(applied.segments).toBeGreaterThan(300);
  const wanted = await undisturbed.keys();
  await expectConsistent(undisturbed);
  await expectPromised(undisturbed, windowAfter);
  const { deletions } = undisturbed.store;
  expect(deletions).toBeGreaterThan(10);

  for (let dieAt = 1; dieAt <= deletions; dieAt++) {
    const victim = await world.copy();
    victim.store.dieAt = dieAt;
    await victim.prune(policy).catch(() => undefined);
    victim.store.revive();
    await expectConsistent(victim);
    await expectPromised(victim, windowAfter);
    victim.passTime(6 * 60_000); // its lease is stale by then
    await victim.prune(policy);
    expect(await victim.keys(), `killed at deletion ${dieAt}`).toEqual(wanted);
  }
}, 60_000);

function positions({ timeline, from, to, backup }: WindowInterval) {
  return { timeline, from: from.lsn, to: to.lsn, backup };
}

test("what is done is what was planned: the window afterwards and the objects that are gone", async () => {
  const world = await longHistory();
  const before = await world.keys();
  const { windowAfter, frees } = await world.plan(policy);
  const { erased } = await world.prune(policy);
  const { catalog } = await loadRetainedLife(run, world.repository, identity);
  expect(recoveryWindow(catalog).map(positions)).toEqual(windowAfter.map(positions));
  expect(before.length - (await world.keys()).length).toBe(erased.objects);
  expect(erased.objects).toBeGreaterThanOrEqual(frees.objects);
  expect(await world.plan(policy)).toMatchObject({ frees: { objects: 0, bytes: 0 } });
});

test("a backup whose record the store does not let go stays whole, with the WAL that it needs; the others go", async () => {
  const world = await longHistory();
  const [locked = ""] = (await world.plan(policy)).deletion.backups.map(({ label }) => label);
  world.store.isLocked = (key) => key === backupRecordKey("main", identity, locked);
  const applied = await world.prune(policy);
  expect(applied.backupsStayed).toMatchObject([{ label: locked, why: expect.stringContaining("record") as string }]);
  expect(applied.stayed).toMatchObject({ count: 1, first: [{ problem: "it is locked" }] });
  expect(applied.backups.length).toBeGreaterThan(4);
  expect(await world.labels()).toContain(locked);
  await expectConsistent(world);
});

test("objects that are locked are counted and named, and do not keep others from going", async () => {
  const world = await longHistory();
  const folder = `${walFolder("main", identity)}00000001/00000000/`;
  world.store.isLocked = (key) => key.startsWith(folder) && /[05]\.zst$/.test(key);
  const { segments, stayed } = await world.prune(policy);
  expect(stayed.count).toBeGreaterThan(20);
  expect(stayed.first).toHaveLength(20);
  expect(segments).toBeGreaterThan(100);
  await expectConsistent(world);
});

test("a store that says an object is deleted while it is still there is not believed", async () => {
  const world = await longHistory();
  const remove = world.store.delete.bind(world.store);
  world.store.delete = async (keys, options) =>
    remove(
      keys.filter((key) => !key.includes("/wal/")),
      options,
    );
  const { segments, stayed } = await world.prune(policy);
  expect(segments).toBe(0);
  expect(stayed.first[0]?.problem).toContain("still there");
});

test("a backup that is pinned after the decision stays", async () => {
  const world = await longHistory();
  const { deletion } = await world.plan(policy);
  const late = deletion.backups.at(-1)?.label ?? "";
  await world.pin(late);
  const applied = await world.apply(async () => deletion);
  expect(applied.backupsStayed).toMatchObject([{ label: late, why: "it has been pinned meanwhile" }]);
  expect(await world.labels()).toContain(late);
  await expectConsistent(world);
});

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

test("with a record that cannot be read nothing goes, for nobody knows which WAL it needs", async () => {
  const world = await longHistory();
  const [label = ""] = await world.labels();
  const key = backupRecordKey("main", identity, label);
  const record = Buffer.from(await world.store.get(key)).toString("utf8");
  await world.store.put(key, Buffer.from(record.replace('"timeline": 1', '"timeline": 2')), { ifAbsent: false });
  await expect(world.plan(policy)).rejects.toMatchObject({
    code: "refused",
    message: expect.stringContaining(label) as string,
    hint: expect.stringContaining(`pgark delete ${label}`) as string,
  });
});

test("of two prunes at once one does the work, and the other says who is at it", async () => {
  const world = await longHistory();
  const outcomes = await Promise.allSettled([world.prune(policy), world.prune(policy)]);
  const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
  expect(refused).toMatchObject([{ code: "refused" }]);
  await expectConsistent(world);
  expect((await world.plan(policy)).frees.objects).toBe(0);
});

test("a prune that was taken for dead deletes nothing more once another has its lease", async () => {
  const world = await longHistory();
  let left: readonly string[] | undefined;
  world.store.beforeDelete = async (keys) => {
    if (left !== undefined || !keys.some((key) => key.includes("/data/"))) return;
    left = [];
    // It stands still for ten minutes with a deletion on its way. Meanwhile another one comes.
    world.passTime(10 * 60_000);
    await takeLease({ ...world.leaseOptions, host: "db2" });
    left = (await world.keys()).filter((key) => !keys.includes(key));
  };
  await expect(world.prune(policy)).rejects.toMatchObject({
    code: "refused",
    message: expect.stringContaining("the lease was lost") as string,
  });
  expect(await world.keys()).toEqual(left);
  await expectConsistent(world);
});

test("killed while it deletes a backup that was taken just now, it does not wait a day to go on", async () => {
  const world = await PrunableRepository.create();
  await world.archive(1, 0, 9);
  const first = await world.backup({ start: 2.5, stop: 3.5 });
  await world.backup({ start: 7.5, stop: 8.5 });
  for (let dieAt = 1; dieAt < 8; dieAt++) {
    const victim = await world.copy();
    victim.store.dieAt = dieAt;
    await victim.prune({ keepLast: 1 }).catch(() => undefined);
    victim.store.revive();
    victim.passTime(6 * 60_000);
    await victim.prune({ keepLast: 1 });
    expect(await victim.keys(backupFolder("main", identity, first)), `killed at deletion ${dieAt}`).toEqual([]);
  }
});
