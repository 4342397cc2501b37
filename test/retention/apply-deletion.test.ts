import { expect, test } from "vitest";
import { loadRetainedLife } from "../../src/cli/retained-life.ts";
import { backupRecordKey, walFolder } from "../../src/repository/layout.ts";
import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import type { WindowInterval } from "../../src/restore/recovery-plan.ts";
import { identity } from "../repository/backup-fixture.ts";
import { expectConsistent, longHistory, policy } from "./apply-deletion-fixture.ts";
import { run } from "./prunable-repository.ts";

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
