import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packBytes, packFiles, planPacks } from "../../src/archive/pack-plan.ts";
import type { PlannedPack } from "../../src/archive/pack-plan.ts";
import type { ScannedEntry } from "../../src/postgres/data-directory-scan.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

const options = { pgdata: "/pgdata", pageChecksums: true, relationSegmentBlocks: 131_072 };

function file(path: string, size: number, more: Partial<ScannedEntry & { kind: "file" }> = {}): ScannedEntry {
  return { kind: "file", path, size, mtimeMs: 0, mode: 0o600, relation: undefined, ...more };
}

function paths({ entries }: PlannedPack): readonly string[] {
  return entries.map((entry) => entry.path);
}

describe("the plan of a backup's packs", () => {
  test("gives a large file a pack of its own, in which the small ones around it do not wait", () => {
    const plan = [...planPacks([file("a", 10), file("large", packBytes), file("b", 10)], options)];
    expect(plan.map(paths)).toEqual([["large"], ["a", "b"]]);
  });

  test("ends a pack when it has its bytes, or its number of files", () => {
    const half = packBytes / 2;
    expect([...planPacks([file("a", half), file("b", half), file("c", 1)], options)].map(paths)).toEqual([
      ["a", "b"],
      ["c"],
    ]);
    const many = Array.from({ length: packFiles + 1 }, (_, index) => file(String(index), 0));
    expect([...planPacks(many, options)].map(({ entries }) => entries.length)).toEqual([packFiles, 1]);
  });

  test("holds no more than one pack of a scan that never ends", () => {
    let scanned = 0;
    function* endless(): Generator<ScannedEntry> {
      for (;;) yield file(String(scanned++), 0);
    }
    const packs = planPacks(endless(), options);
    packs.next();
    packs.next();
    expect(scanned).toBe(2 * packFiles);
  });

  test("numbers the pages of a relation's later files on from its first", () => {
    const relation = { database: 5, relfilenode: 16384, fork: "main", segment: 2 } as const;
    const entry = file("base/5/16384.2", 8192, { relation });
    expect([...planPacks([entry], options)][0]?.entries).toMatchObject([{ firstBlock: 262_144 }]);
    const unchecked = planPacks([entry, file("PG_VERSION", 3)], { ...options, pageChecksums: false });
    expect([...unchecked][0]?.entries).toMatchObject([{ firstBlock: undefined }, { firstBlock: undefined }]);
  });

  test("enters directories and tablespaces into the manifest, and reads a tablespace's files through its link", () => {
    const plan = [
      ...planPacks(
        [
          { kind: "directory", path: "", mode: 0o700 },
          { kind: "directory", path: "pg_wal", mode: 0o750, linkTarget: "/wal" },
          { kind: "tablespace", path: "pg_tblspc/16385", oid: 16385, location: "/fast" },
          file("pg_tblspc/16385/PG_17_202406281/5/16386", 10),
        ],
        options,
      ),
    ];
    expect(plan[0]?.lines).toEqual([
      { type: "directory", path: ".", mode: "0700" },
      { type: "directory", path: "pg_wal", mode: "0750", target: "/wal" },
      { type: "tablespace", oid: 16385, location: "/fast" },
    ]);
    expect(plan[0]?.entries.at(-1)).toMatchObject({
      source: "/pgdata/pg_tblspc/16385/PG_17_202406281/5/16386",
    });
  });

  test("reads a linked file where the last of its links leads, also out of a linked directory", async () => {
    await using directory = await temporaryDirectory();
    const pgdata = join(directory.path, "pgdata");
    await mkdir(pgdata);
    await mkdir(join(directory.path, "elsewhere/base"), { recursive: true });
    await writeFile(join(directory.path, "elsewhere/file"), "");
    await symlink("../file", join(directory.path, "elsewhere/base/link"));
    await symlink("../elsewhere/base", join(pgdata, "base"));
    await symlink("base/link", join(pgdata, "conf"));
    const entries = [file("base/link", 0, { linkTarget: "../file" }), file("conf", 0, { linkTarget: "base/link" })];
    const plan = [...planPacks(entries, { ...options, pgdata })];
    const source = join(directory.path, "elsewhere/file");
    expect(plan[0]?.entries).toMatchObject([{ source }, { source }]);
  });
});
