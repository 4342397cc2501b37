import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type PgarkResult, runPgark } from "../../helpers/pgark.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { PrunableRepository } from "../../retention/prunable-repository.ts";
import type { PruneAnswer } from "../helpers/prune-answer.ts";

const life = "main/17-7400000000000000001";

/** A repository of files, made without a server: timeline 3 is a clone's, 4 is where the cluster is. */
async function makeRepository() {
  const { path } = await temporaryDirectory();
  const world = await PrunableRepository.create();
  await world.archive(1, 0, 9);
  const labels = [await world.backup({ start: 2.5, stop: 3.5 })];
  await world.branch(3, [[1, 6.5]]);
  await world.archive(3, 6, 8);
  labels.push(await world.backup({ timeline: 3, start: 7.2, stop: 7.8 }));
  await world.branch(4, [[1, 9.5]]);
  await world.archive(4, 9, 19);
  labels.push(await world.backup({ timeline: 4, start: 12.5, stop: 13.5 }));
  labels.push(await world.backup({ timeline: 4, start: 17.5, stop: 18.5 }));
  await world.writeTo(path);
  return {
    path,
    labels,
    run: (...args: readonly string[]): Promise<PgarkResult> =>
      runPgark(args, { env: { PGARK_REPOSITORY: `file://${path}`, PGARK_CLUSTER: "main" } }),
    wal: async (timeline: string): Promise<readonly string[]> =>
      (await readdir(join(path, life, "wal", timeline), { recursive: true }).catch(() => [])).filter((name) =>
        name.endsWith(".zst"),
      ),
  };
}

test("a branch is forgotten: its WAL and its backups go, and its history only once it is the newest", async () => {
  const { run, wal, labels, path } = await makeRepository();
  const plan = await run("forget-timeline", "3");
  expect(plan.stdout).toContain(`1 backup (${labels[1] ?? ""}), 3 WAL segments`);
  expect(plan.stdout).toMatch(/nothing was deleted; --confirm does it\n$/);
  expect(await wal("00000003")).toHaveLength(4);

  const done = await run("forget-timeline", "3", "--confirm", "--json");
  expect(done.exitCode).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({ deleted: { backups: [labels[1]], segments: 3 } });
  expect(await wal("00000003")).toEqual(["00000003.history.zst"]);
  expect(await readdir(join(path, life, "backups"))).toEqual([labels[0], labels[2], labels[3]]);

  for (const [timeline, problem] of [
    ["1", "timeline 4 comes from it"],
    ["4", "backups were taken on it"],
  ] as const) {
    const refused = await run("forget-timeline", timeline, "--confirm");
    expect(refused.stderr).toContain(problem);
    expect(refused.exitCode).toBe(4);
  }
  for (const label of labels.slice(2)) expect((await run("delete", label, "--confirm")).exitCode).toBe(0);
  expect((await run("forget-timeline", "4", "--confirm")).exitCode).toBe(0);
  expect(await wal("00000004")).toEqual([]);
  const last = await run("delete", labels[0] ?? "", "--confirm");
  expect(last.stderr).toContain("the last backup that can be restored");
  expect(last.exitCode).toBe(4);
});

test("prune names what it may not delete, goes on with the rest, and exits with 1", async () => {
  const { run, wal, path, labels } = await makeRepository();
  const locked = join(path, life, "wal/00000001/00000000");
  await chmod(locked, 0o500);
  try {
    const result = await run("prune", "--keep-last", "1", "--confirm");
    expect(result.stdout).toMatch(/not deleted:\n(.*\n)* {2}main\/17-\d+\/wal\/00000001\/00000000\/\w+\.zst: EACCES/);
    expect(result.exitCode).toBe(1);
    expect((await readdir(join(path, life, "backups"))).length).toBeLessThan(labels.length);
    expect(await wal("00000001")).toHaveLength(10);
  } finally {
    await chmod(locked, 0o750);
  }
  expect((await run("prune", "--keep-last", "1", "--confirm")).exitCode).toBe(0);
  expect((await wal("00000001")).length).toBeLessThan(10);
});

test("prune refuses a life with a record that it cannot read; giving that backup up is the way out", async () => {
  const { run, path, labels } = await makeRepository();
  const [first = ""] = labels;
  const record = join(path, life, "backups", first, "backup.json");
  await chmod(record, 0o600);
  await writeFile(record, (await readFile(record, "utf8")).replace('"packs": 2', '"packs": 3'));

  const refused = await run("prune", "--keep-last", "1", "--confirm", "--json");
  expect(refused.exitCode).toBe(4);
  const { lives } = JSON.parse(refused.stdout) as PruneAnswer;
  expect(lives[0]?.refused?.message).toContain(`the record of backup ${first} cannot be read`);
  expect(lives[0]?.refused?.hint).toContain(`pgark delete ${first} --confirm`);

  expect((await run("delete", first, "--confirm")).exitCode).toBe(0);
  expect((await run("prune", "--keep-last", "1", "--confirm")).exitCode).toBe(0);
});
