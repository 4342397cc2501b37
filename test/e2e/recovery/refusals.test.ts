import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { projectDirectory } from "../../helpers/project.ts";
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

interface Moment {
  readonly timeline: number;
  readonly lsn: string;
}
interface Refusal {
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
  readonly missingSegment: string | null;
  readonly before: Moment | null;
  readonly after: Moment | null;
}

/** Rows 1 to 5 in a segment each, with the first backup before them; then the second backup, and row 6. */
let archive: RecoveryArchive;
let firstBackup: string;
let firstStart: string;
const segments: string[] = [];
const ends: string[] = [];

beforeAll(async () => {
  archive = await startRecoveryArchive();
  const source = archive.cluster;
  await source.query("create table t (id int)");
  firstStart = await insertRows(source, 0);
  firstBackup = await archive.backup();
  for (let row = 1; row <= 5; row++) {
    ends[row] = await insertRows(source, row);
    segments[row] = await archiveCurrentSegment(source);
  }
  await archive.backup();
  ends[6] = await insertRows(source, 6);
  await archiveCurrentSegment(source);
  // The hole: row 3's segment is lost.
  await rm(archive.walObject(segments[3] ?? ""));
}, 120_000);

/** Plan and restore refuse alike, with exit code 4, and nothing is written. */
async function refused(...args: readonly string[]): Promise<Refusal> {
  const target = join(archive.directory, "refused");
  const planned = await archive.run(["plan", "--json", ...args]);
  const restored = await archive.run(["restore", target, "--json", ...args]);
  expect([planned.exitCode, restored.exitCode], planned.stderr + restored.stderr).toEqual([4, 4]);
  expect(existsSync(target)).toBe(false);
  const refusal = JSON.parse(planned.stdout) as Refusal;
  expect(JSON.parse(restored.stdout)).toEqual({ plan: refusal, restored: null });
  expect(refusal.kind).toBe("refusal");
  return refusal;
}

async function restoredRows(name: string, ...args: readonly string[]): Promise<readonly number[]> {
  await using server = await archive.restore(name, ...args, "--action", "promote");
  await server.start();
  await untilPromoted(server);
  return await rowsOf(server);
}

describe("a restore is refused before anything is written", () => {
  test("when a segment is missing on the way: it is named, and the nearest moments on both sides do restore", async () => {
    const refusal = await refused("--to", `lsn:${ends[4]}`);
    expect(refusal).toMatchObject({ reason: "wal-missing", missingSegment: segments[3] });
    const { before, after } = refusal;
    expect(before).not.toBeNull();
    expect(after).not.toBeNull();
    const rowsBefore = await restoredRows("before", "--timeline", "1", "--to", `lsn:${before?.lsn}`);
    expect(rowsBefore.slice(0, 2)).toEqual([0, 1]);
    expect(rowsBefore).not.toContain(3);
    expect(await restoredRows("after", "--timeline", "1", "--to", `lsn:${after?.lsn}`)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await restoredRows("over-the-hole")).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("when the named backup does not lead over the hole, and the one that does is named", async () => {
    const refusal = await refused("--backup", firstBackup, "--to", `lsn:${ends[6]}`);
    expect(refusal).toMatchObject({ reason: "wal-missing", missingSegment: segments[3] });
    expect((refusal as Refusal & { hint: string }).hint).toContain("without --backup the target can be reached");
  });

  test("when the target lies before the first backup's end", async () => {
    const refusal = await refused("--to", `lsn:${firstStart}`);
    expect(refusal).toMatchObject({ reason: "before-window", before: null });
    expect(await restoredRows("first", "--timeline", "1", "--to", `lsn:${refusal.after?.lsn}`)).toEqual([0]);
    expect(await refused("--to", "2020-01-01 00:00:00Z")).toMatchObject({ reason: "before-window" });
  });

  test("when the target lies after the end of the WAL, and the moment offered is there", async () => {
    const refusal = await refused("--to", "lsn:7F/0");
    expect(refusal).toMatchObject({ reason: "after-window", after: null });
    const rows = await restoredRows("end", "--timeline", "1", "--to", `lsn:${refusal.before?.lsn}`);
    expect(rows.slice(0, 6)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("when backup or timeline do not exist", async () => {
    expect(await refused("--backup", "20200101T000000Z")).toMatchObject({ reason: "unknown-backup" });
    expect(await refused("--timeline", "7")).toMatchObject({ reason: "unknown-timeline" });
    const { reason } = await refused("--backup", firstBackup, "--to", "2020-01-01 00:00:00Z");
    expect(reason).toBe("backup-too-late");
  });

  test("when the directory is not empty, or a server runs there, and nothing in it is touched", async () => {
    const full = join(archive.directory, "full");
    await mkdir(full);
    await writeFile(join(full, "precious"), "mine");
    const onFull = await archive.run(["restore", full]);
    expect(onFull.exitCode).toBe(4);
    expect(onFull.stderr).toContain("not empty");
    expect(await readdir(full)).toEqual(["precious"]);
    expect(await readFile(join(full, "precious"), "utf8")).toBe("mine");

    const onRunning = await archive.run(["restore", archive.cluster.pgdata]);
    expect(onRunning.exitCode).toBe(4);
    expect(onRunning.stderr).toContain("a server is running there");
    expect(await rowsOf(archive.cluster)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});

describe("what commands print with --json", () => {
  /** The names in backticks that docs/json.md has between `from` and the next full stop at a line's end. */
  const documented = async (from: string, until: string): Promise<readonly string[]> => {
    const text = await readFile(join(projectDirectory, "docs/json.md"), "utf8");
    const begin = text.indexOf(from);
    expect(begin, `docs/json.md has "${from}"`).toBeGreaterThan(0);
    return namesIn(text.slice(begin + from.length, text.indexOf(until, begin + from.length)));
  };
  /** Names outside of parentheses: those inside are values. */
  const namesIn = (text: string): readonly string[] =>
    [...text.replaceAll(/\([^)]*\)/g, "").matchAll(/`([A-Za-z]+)`/g)].map(([, name = ""]) => name).toSorted();
  const keys = (value: object): readonly string[] => Object.keys(value).toSorted();

  test("has the fields that docs/json.md names, and no others", async () => {
    const plan = await archive.json(["plan"]);
    expect(keys(plan)).toEqual(await documented("- A **plan** has ", "\n- "));
    const refusal = await refused("--timeline", "7");
    expect(keys(refusal)).toEqual(await documented("- A **refusal** has ", "\n- "));
    const list = (await archive.json(["list"])) as { lives: readonly object[] };
    expect([...keys(list), ...keys(list.lives[0] ?? {})].toSorted()).toEqual(await documented("| `list` |", "|\n"));
    const backup = plan["backup"] as { label: string };
    const inTable = await documented(
      "`list`, `show`, `backup`, `plan` and `restore` describe a backup alike:",
      "\n\n##",
    );
    expect(keys(backup).filter((key) => !inTable.includes(key))).toEqual([]);
    expect(keys(backup)).toEqual(expect.arrayContaining(["label", "startLsn", "stopLsn", "pgark"]));
    expect(await archive.json(["show", backup.label])).toEqual({ backup, pins: [] });
  });
});
