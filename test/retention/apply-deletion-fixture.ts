import { expect } from "vitest";
import { loadRetainedLife } from "../../src/cli/retained-life.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { backupFolder } from "../../src/repository/layout.ts";
import { surveyCatalog } from "../../src/retention/survey.ts";
import { identity } from "../repository/backup-fixture.ts";
import { at } from "../restore/archive-builder.ts";
import { PrunableRepository, run, segmentSize } from "./prunable-repository.ts";

export const policy = { keepLast: 2, keepWeekly: 3 };

/** Forty days, a promotion, a clone's abandoned branch, a pinned backup and one that is being taken. */
export async function longHistory(): Promise<PrunableRepository> {
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
export async function expectConsistent(world: PrunableRepository): Promise<void> {
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
