import { existsSync } from "node:fs";
import { readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatLsn, lsn as toLsn, parseLsn } from "../../../src/postgres/lsn.ts";
import { type Ledger, readRows, startLedger } from "../../helpers/ledger.ts";
import { until } from "../../helpers/processes.ts";
import { Random } from "../../helpers/random.ts";
import { DetachedRun } from "../helpers/detached-run.ts";
import type { PruneAnswer } from "../helpers/prune-answer.ts";
import { completeBackups, openAudited } from "../helpers/repository-audit.ts";
import { createServedCluster, type ServedCluster } from "../helpers/served-cluster.ts";
import { projectDirectory } from "../../helpers/project.ts";

/** One story: the tests follow one another. */
describe("the retention of a real cluster", () => {
  let served: ServedCluster;
  let ledger: Ledger;
  const labels: string[] = [];

  beforeAll(async () => {
    served = await createServedCluster({ major: 17, walSegmentSizeMb: 1, encrypt: true });
    await served.cluster.start();
    ledger = await startLedger({ connect: () => served.cluster.connect(), writers: 2, churn: 1, churnTableMb: 1 });
    for (let count = 0; count < 4; count++) {
      await ledger.untilCommitted(30);
      labels.push((await served.backup()).backup.label);
    }
    await ledger.untilCommitted(30);
    await ledger.stop();
    await served.archiveAll();
  }, 120_000);

  afterAll(async () => {
    await served.cluster.stop("immediate");
  });

  async function prune(...args: readonly string[]): Promise<PruneAnswer["lives"][number]> {
    const answer = await served.json<PruneAnswer>(["prune", ...args]);
    const [life] = answer.lives;
    if (life === undefined) throw new Error("no life was looked at");
    return life;
  }

  async function walFiles(): Promise<number> {
    const files = await readdir(served.repositoryDirectory, { recursive: true });
    return files.filter((file) => /\/[0-9A-F]{24}\.zst\.age$/.test(file)).length;
  }

  test("without a policy prune refuses, and says how to set one", async () => {
    const result = await served.run(["prune", "--confirm"]);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toMatch(/no retention policy is set[^]*keep-within: 30d/);
  });

  test("a kept backup stays, be it ever so old, and a plan changes nothing", async () => {
    const [first = ""] = labels;
    const kept = await served.run(["keep", first, "--reason", "before the migration"]);
    expect(kept.stdout).toMatch(new RegExp(`^${first} is kept for ever`));
    const shown = await served.run(["show", first]);
    expect(shown.stdout).toMatch(/^kept:\n {2}for ever: before the migration \(set on .+\)$/m);
    const before = await walFiles();

    const plan = await prune("--keep-last", "2");
    expect(plan.backups.map(({ verdict }) => verdict)).toEqual(["keep", "expire", "keep", "keep"]);
    expect(plan.backups[0]?.reasons.map(({ kind }) => kind)).toEqual(["pin"]);
    expect(plan.wal.some(({ verdict }) => verdict === "expire")).toBe(true);
    expect(plan.deleted).toBeNull();
    expect(await walFiles()).toBe(before);
    expect(await served.labels()).toEqual(labels);

    const text = await served.run(["prune", "--keep-last", "2"]);
    expect(text.stdout).toMatch(new RegExp(`keep +${first} .* pinned$`, "m"));
    expect(text.stdout).toMatch(new RegExp(`delete +${labels[1] ?? ""} .* no rule keeps it$`, "m"));
    expect(text.stdout).toMatch(/nothing was deleted; --confirm does it\n$/);
  });

  test("prune deletes what the plan said, byte for byte, and every backup that is left can be restored", async () => {
    const before = await walFiles();
    const plan = await prune("--keep-last", "2");
    const { deleted, frees } = await prune("--keep-last", "2", "--confirm");
    expect(deleted).toMatchObject({ backups: [labels[1]], segments: frees.segments, notDeleted: { objects: 0 } });
    expect(frees).toEqual(plan.frees);
    expect(before - (await walFiles())).toBe(frees.segments);
    expect(frees.segments).toBeGreaterThan(0);
    expect(await served.labels()).toEqual([labels[0], labels[2], labels[3]]);
    const repository = await openAudited(served.repositoryDirectory, join(served.directory, "identity"));
    expect(await completeBackups(repository, new Set())).toHaveLength(3);
    await repository.store.close();
    const verified = await served.run(["verify", "--keep-last", "2"]);
    expect({ exitCode: verified.exitCode, stdout: verified.stdout }).toMatchObject({ exitCode: 0 });
    expect((await prune("--keep-last", "2", "--confirm")).frees).toMatchObject({ objects: 0, bytes: 0 });
  });

  test("a random moment of the window is restored after it", async () => {
    const plan = await prune("--keep-last", "2");
    const from = parseLsn(plan.windowAfter.at(-1)?.from.lsn ?? "");
    const to = parseLsn(plan.windowAfter.at(-1)?.to.lsn ?? "") - 1024n * 1024n;
    const reachable = ledger.history.transactions.filter(({ lsnFrom }) => lsnFrom > from && lsnFrom < to);
    const moment = reachable[new Random(7).below(reachable.length)]?.lsnFrom ?? 0n;
    const target = `lsn:${formatLsn(toLsn(moment))}`;
    await using restored = await served.restoreAndOpen("restored", "--to", target, "--action", "promote");
    const client = await restored.connect();
    expect(ledger.history.differencesAt({ lsn: moment }, await readRows(client))).toEqual([]);
    await client.end();
    await restored.stop("immediate");
  });

  test("unkeep lets a backup go, delete takes one away, and the last one stays whatever is asked", async () => {
    const [first = "", , third = "", last = ""] = labels;
    const refused = await served.run(["delete", first, "--confirm"]);
    expect(refused.exitCode).toBe(4);
    expect(refused.stderr).toMatch(new RegExp(`it is pinned: before the migration[^]*pgark unkeep ${first}`));
    expect(await served.json(["unkeep", first])).toMatchObject({ label: first, removed: 1 });
    expect(await served.json(["unkeep", first])).toMatchObject({ removed: 0 });
    expect(await served.json(["delete", first])).toMatchObject({ backups: [first], deleted: null });
    expect(await served.labels()).toContain(first);
    expect(await served.json(["delete", first, "--confirm"])).toMatchObject({ deleted: { backups: [first] } });
    expect((await prune("--keep-last", "1", "--confirm")).deleted?.backups).toEqual([third]);
    expect(await served.labels()).toEqual([last]);

    const lastOne = await served.run(["delete", last, "--confirm"]);
    expect(lastOne.exitCode).toBe(4);
    expect(lastOne.stderr).toMatch(/the last backup that can be restored/);
    const mistyped = await served.run(["keep", `${last}Z`]);
    expect(mistyped.exitCode).toBe(5);
    expect(mistyped.stderr).toContain(`did you mean ${last}?`);
  });

  test("a backup that is being taken is not touched; killed and forgotten, it is swept after its grace", async () => {
    const run = await DetachedRun.start(join(projectDirectory, "bin/pgark"), ["backup", "--rate", "1MB/s"], {
      env: { ...served.env, PGARK_NODE: process.execPath },
    });
    const folder = await backupFolderOf(served, labels);
    // Its first packs are on their way.
    await until(() => existsSync(join(folder, "begun.json")), "the backup to begin");
    const label = folder.slice(folder.lastIndexOf("/") + 1);
    const marker = join(folder, "begun.json");
    expect((await prune("--keep-last", "1", "--confirm")).unfinished).toMatchObject([{ label, verdict: "running" }]);
    expect(existsSync(marker)).toBe(true);
    run.send("SIGKILL", "group");
    await run.end();

    const anHourAndADayAgo = Date.now() / 1000 - 25 * 3600;
    for (const name of await readdir(folder, { recursive: true })) {
      await utimes(join(folder, name), anHourAndADayAgo, anHourAndADayAgo);
    }
    const { unfinished, deleted } = await prune("--keep-last", "1", "--confirm");
    expect(unfinished).toMatchObject([{ label, verdict: "abandoned" }]);
    expect(deleted?.unfinished).toEqual([label]);
    expect(existsSync(folder)).toBe(false);
  });

  test("a hole is acknowledged when it is one, and only then", async () => {
    const { wal } = await prune("--keep-last", "1");
    const first = wal[0]?.first ?? "";
    const there = await served.run(["acknowledge-hole", first]);
    expect(there.exitCode).toBe(4);
    expect(there.stderr).toContain("the segment is in the repository");
    const future = await served.run(["acknowledge-hole", `${first.slice(0, 16)}00000FFF`]);
    expect(future.exitCode).toBe(4);
    const gone = `${first.slice(0, 16)}00000000`;
    expect(await served.json(["acknowledge-hole", gone, "--reason", "disk lost"])).toMatchObject({
      first: gone,
      last: gone,
      segments: 1,
      new: true,
    });
    expect(await served.json(["acknowledge-hole", gone])).toMatchObject({ new: false });
  });
});

/** Where the backup lies that is not among `labels`. */
async function backupFolderOf(served: ServedCluster, labels: readonly string[]): Promise<string> {
  let found: string | undefined;
  const life = (await readdir(join(served.repositoryDirectory, "main"))).find((name) => name.startsWith("17-")) ?? "";
  const folder = join(served.repositoryDirectory, "main", life, "backups");
  await until(async () => {
    found = (await readdir(folder)).find((label) => !labels.includes(label));
    return found !== undefined;
  }, "a backup to begin");
  return join(folder, found ?? "");
}
