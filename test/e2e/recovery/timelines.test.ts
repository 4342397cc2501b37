import { beforeAll, describe, expect, test, vi } from "vitest";
import { formatLsn, lsn as lsnOf, parseLsn } from "../../../src/postgres/lsn.ts";
import type { Cluster } from "../../helpers/cluster.ts";
import { archiveCurrentSegment } from "../helpers/archiving-cluster.ts";
import {
  insertRows,
  type RecoveryArchive,
  rowsOf,
  startRecoveryArchive,
  untilPromoted,
} from "../helpers/recovery-archive.ts";

// Several servers, one after the other, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

/**
 * Four timelines of one cluster. Rows are numbered by the timeline that they were written on:
 *
 *   1: row 1, backup "first", rows 2, 3
 *   2: forks after row 2; row 20, backup "second", rows 21, 22
 *   3: forks after row 3; row 30, backup "third", row 31
 *   4: forks from timeline 2 after row 21; row 40
 */
let archive: RecoveryArchive;
const lsn: Record<string, string> = {};
const label = { first: "", second: "", third: "" };

interface Plan {
  readonly backup: { readonly label: string };
  readonly path: readonly number[];
  readonly timeline: number;
  readonly skipped: readonly { readonly label: string; readonly reason: string }[];
}
interface Interval {
  readonly timeline: number;
  readonly from: { readonly lsn: string };
  readonly to: { readonly lsn: string };
  readonly backup: string;
}

/** The cluster comes back at a moment and goes on, archiving, on a timeline of its own. */
async function comeBack(name: string, ...args: readonly string[]): Promise<Cluster> {
  const server = await archive.restore(name, ...args, "--archiving", "on", "--action", "promote");
  await server.start();
  await untilPromoted(server);
  return server;
}

beforeAll(async () => {
  archive = await startRecoveryArchive();
  const source = archive.cluster;
  await source.query("create table t (id int)");
  await insertRows(source, 1);
  label.first = await archive.backup();
  lsn["after 2"] = await insertRows(source, 2);
  lsn["after 3"] = await insertRows(source, 3);
  await archiveCurrentSegment(source);
  await source.stop();

  const second = await comeBack("second", "--to", `lsn:${lsn["after 2"]}`);
  await insertRows(second, 20);
  label.second = await archive.backup(second);
  lsn["after 21"] = await insertRows(second, 21);
  await insertRows(second, 22);
  await archiveCurrentSegment(second);
  await second.stop();

  const third = await comeBack("third", "--to", "latest", "--timeline", "1");
  await insertRows(third, 30);
  label.third = await archive.backup(third);
  await insertRows(third, 31);
  await archiveCurrentSegment(third);
  await third.stop();

  const fourth = await comeBack("fourth", "--to", `lsn:${lsn["after 21"]}`, "--timeline", "2");
  await insertRows(fourth, 40);
  await archiveCurrentSegment(fourth);
  await fourth.stop();
}, 180_000);

async function restored(name: string, ...args: readonly string[]): Promise<readonly number[]> {
  await using server = await archive.restore(name, ...args, "--action", "promote");
  await server.start();
  await untilPromoted(server);
  return await rowsOf(server);
}

async function plan(...args: readonly string[]): Promise<Plan> {
  return (await archive.json(["plan", ...args])) as unknown as Plan;
}

describe("a cluster that came back three times", () => {
  test("is on its newest timeline; the backup of the other branch is skipped, and the plan says why", async () => {
    const latest = await plan();
    expect(latest).toMatchObject({ timeline: 4, path: [2, 4], backup: { label: label.second } });
    expect(latest.skipped).toEqual([
      {
        label: label.third,
        reason: expect.stringMatching(
          /^it was taken on timeline 3, a branch that left timeline 1 at 0\/[0-9A-F]+ and does not lead to timeline 4$/,
        ),
      },
    ]);
    expect(await restored("latest")).toEqual([1, 2, 20, 21, 40]);
  });

  test.each<readonly [string, () => readonly string[], readonly number[]]>([
    ["the first timeline to its end", () => ["--timeline", "1"], [1, 2, 3]],
    ["an abandoned branch to its end", () => ["--timeline", "2"], [1, 2, 20, 21, 22]],
    ["a moment on an abandoned branch", () => ["--timeline", "2", "--to", `lsn:${lsn["after 21"]}`], [1, 2, 20, 21]],
    ["another branch to its end", () => ["--timeline", "3"], [1, 2, 3, 30, 31]],
    [
      "the branch of a backup, across its fork",
      () => ["--timeline", "current", "--backup", label.third],
      [1, 2, 3, 30, 31],
    ],
    ["a moment before the fork, on the way to the newest", () => ["--to", `lsn:${lsn["after 2"]}`], [1, 2]],
    [
      "a moment before the fork that the newest does not share",
      () => ["--timeline", "3", "--to", `lsn:${lsn["after 3"]}`],
      [1, 2, 3],
    ],
  ])("%s can be restored", async (name, args, expected) => {
    expect(await restored(name.replaceAll(/\W+/g, "-"), ...args())).toEqual(expected);
  });

  test("a backup that does not lead to the timeline asked for is refused, with the branch that it is on", async () => {
    const ended = await archive.run(["plan", "--backup", label.third]);
    expect(ended.exitCode).toBe(4);
    expect(ended.stdout).toContain("does not lead to timeline 4");
    expect(ended.stdout).toContain(`--timeline current, or --timeline 3, stays on the branch of backup ${label.third}`);
  });

  test("list shows a window for each timeline, and what it begins and ends with can be planned, but nothing after it", async () => {
    const { lives } = (await archive.json(["list"])) as unknown as {
      lives: readonly { window: readonly Interval[] }[];
    };
    const window = lives[0]?.window ?? [];
    expect(window.map(({ timeline, backup }) => [timeline, backup])).toEqual([
      [1, label.first],
      [2, label.first],
      [3, label.first],
      [4, label.first],
    ]);
    for (const { timeline, from, to } of window) {
      const exitCode = async (target: string): Promise<number | null> =>
        (await archive.run(["plan", "--timeline", String(timeline), "--to", `lsn:${target}`])).exitCode;
      expect([timeline, await exitCode(from.lsn), await exitCode(to.lsn)]).toEqual([timeline, 0, 0]);
      expect([timeline, await exitCode(formatLsn(lsnOf(parseLsn(to.lsn) + 1n)))]).toEqual([timeline, 4]);
    }
  });
});
