import { expect, test } from "vitest";
import { loadRetainedLife } from "../../src/cli/retained-life.ts";
import { lsn } from "../../src/postgres/lsn.ts";
import { backupFolder } from "../../src/repository/layout.ts";
import { takeLease } from "../../src/repository/lease.ts";
import { planRecovery } from "../../src/restore/plan-recovery.ts";
import type { WindowInterval } from "../../src/restore/recovery-plan.ts";
import { identity } from "../repository/backup-fixture.ts";
import { expectConsistent, longHistory, policy } from "./apply-deletion-fixture.ts";
import { PrunableRepository, run } from "./prunable-repository.ts";

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
