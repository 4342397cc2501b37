import { execFileSync } from "node:child_process";
import { chmod, mkdir, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Log } from "../../src/log.ts";
import { scanDataDirectory } from "../../src/postgres/data-directory-scan.ts";
import type { ScannedEntry } from "../../src/postgres/data-directory-scan.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { controlFileBytes } from "./control-file-bytes.ts";
import { thrownBy } from "./errors.ts";

const VERSION_DIRECTORY = "PG_17_202406281";

/** A data directory with `files` in it besides what every one has, and a place outside of it. */
async function dataDirectory(files: readonly string[] = []): Promise<{ pgdata: string; outside: string }> {
  const root = await realpath((await temporaryDirectory()).path);
  const [pgdata, outside] = [join(root, "pgdata"), join(root, "outside")];
  await mkdir(join(pgdata, "pg_wal"), { recursive: true });
  await mkdir(outside);
  await writeFiles(pgdata, ["base/5/PG_VERSION", "global/1262", "pg_tblspc/", ...files]);
  await writeFile(join(pgdata, "PG_VERSION"), "17\n");
  await writeFile(join(pgdata, "global/pg_control"), controlFileBytes());
  return { pgdata, outside };
}

/** A name that ends in a slash is a directory. */
async function writeFiles(root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(join(root, path.endsWith("/") ? path : dirname(path)), { recursive: true });
    if (!path.endsWith("/")) await writeFile(join(root, path), path);
  }
}

function scan(pgdata: string, options: Parameters<typeof scanDataDirectory>[1] = {}): Map<string, ScannedEntry> {
  return new Map([...scanDataDirectory(pgdata, options)].map((entry) => [entry.path, entry]));
}

function collectingLog(): { log: Log; paths: string[] } {
  const paths: string[] = [];
  const note = (_: string, facts?: Readonly<Record<string, unknown>>): void => void paths.push(String(facts?.["path"]));
  return { log: { debug() {}, info: note, warn: note }, paths };
}

describe("scanning a data directory", () => {
  test("gives files with their sizes, modes and relations", async () => {
    const { pgdata } = await dataDirectory(["base/5/16384.1", "postgresql.conf"]);
    await chmod(join(pgdata, "postgresql.conf"), 0o640);
    const entries = scan(pgdata);
    expect(entries.get("postgresql.conf")).toMatchObject({ kind: "file", size: 15, mode: 0o640, relation: undefined });
    expect(entries.get("base/5/16384.1")).toMatchObject({
      relation: { database: 5, relfilenode: 16384, fork: "main", segment: 1 },
    });
  });

  test("gives every directory before what is in it, and pg_control last, once", async () => {
    const { pgdata } = await dataDirectory(["pg_xact/0000"]);
    const paths = [...scanDataDirectory(pgdata)].map(({ path }) => path);
    expect(paths.at(-1)).toBe("global/pg_control");
    expect(new Set(paths).size).toBe(paths.length);
    const early = paths.filter((path, index) => dirname(path) !== "." && paths.indexOf(dirname(path)) >= index);
    expect(early).toEqual([]);
  });

  test("keeps emptied directories without what is in them", async () => {
    const { pgdata } = await dataDirectory([
      "pg_wal/000000010000000000000001",
      "pg_wal/archive_status/000000010000000000000001.done",
      "pg_replslot/slot/state",
      "pg_notify/0000",
      "stats/db.stat",
    ]);
    const paths = [...scan(pgdata, { excludeContents: ["stats"] }).keys()];
    expect(paths).toEqual(
      expect.arrayContaining([
        "pg_wal",
        "pg_wal/archive_status",
        "pg_wal/summaries",
        "pg_replslot",
        "pg_notify",
        "stats",
      ]),
    );
    expect(paths.filter((path) => /^(pg_wal\/0|pg_wal\/.*done|pg_replslot\/|pg_notify\/|stats\/)/.test(path))).toEqual(
      [],
    );
  });

  test("leaves out temporary and unlogged relations but for init forks, wherever relations lie", async () => {
    const inDatabase = ["1", "1.1", "1_fsm", "1_vm", "1_init", "2", "t3_9", "t3_9_fsm", "11"];
    const { pgdata } = await dataDirectory([
      ...inDatabase.map((name) => `base/5/${name}`),
      ...inDatabase.map((name) => `pg_tblspc/16400/${VERSION_DIRECTORY}/5/${name}`),
      "base/6/1",
    ]);
    const paths = [...scan(pgdata).keys()];
    for (const directory of ["base/5", `pg_tblspc/16400/${VERSION_DIRECTORY}/5`]) {
      const names = paths.filter((path) => dirname(path) === directory).map((path) => path.slice(directory.length + 1));
      expect(names.filter((name) => name !== "PG_VERSION").toSorted()).toEqual(["11", "1_init", "2"]);
    }
    expect(paths).toContain("base/6/1");
  });

  test("reports a linked pg_wal as a directory that says where it was", async () => {
    const { pgdata, outside } = await dataDirectory();
    await rm(join(pgdata, "pg_wal"), { recursive: true });
    await writeFiles(outside, ["000000010000000000000001"]);
    await symlink(outside, join(pgdata, "pg_wal"));
    const entries = scan(pgdata);
    expect(entries.get("pg_wal")).toMatchObject({ kind: "directory", linkTarget: outside });
    expect(entries.has("pg_wal/archive_status")).toBe(true);
    expect(entries.has("pg_wal/000000010000000000000001")).toBe(false);
  });

  test("follows the links of tablespaces into this cluster's directory alone", async () => {
    const { pgdata, outside } = await dataDirectory();
    await writeFiles(outside, [`${VERSION_DIRECTORY}/5/7`, "PG_16_202307071/5/7", "lost+found/x"]);
    await symlink(outside, join(pgdata, "pg_tblspc/16400"));
    const entries = [...scanDataDirectory(pgdata)].filter(({ path }) => path.startsWith("pg_tblspc/"));
    expect(entries.map(({ path }) => path)).toEqual([
      "pg_tblspc/16400",
      `pg_tblspc/16400/${VERSION_DIRECTORY}`,
      `pg_tblspc/16400/${VERSION_DIRECTORY}/5`,
      `pg_tblspc/16400/${VERSION_DIRECTORY}/5/7`,
    ]);
    expect(entries[0]).toEqual({ kind: "tablespace", path: "pg_tblspc/16400", oid: 16400, location: outside });
    expect(entries[3]).toMatchObject({ relation: { database: 5, relfilenode: 7 } });
  });

  test("scans an in-place tablespace as the directory that it is", async () => {
    const { pgdata } = await dataDirectory([`pg_tblspc/16400/${VERSION_DIRECTORY}/5/7`]);
    const entries = scan(pgdata);
    expect(entries.get("pg_tblspc/16400")).toMatchObject({ kind: "directory" });
    expect(entries.get(`pg_tblspc/16400/${VERSION_DIRECTORY}/5/7`)).toMatchObject({ kind: "file" });
  });

  test("scans a tablespace inside PGDATA once", async () => {
    const { pgdata } = await dataDirectory([`spaces/one/${VERSION_DIRECTORY}/5/7`]);
    await symlink(join(pgdata, "spaces/one"), join(pgdata, "pg_tblspc/16400"));
    const paths = [...scan(pgdata).keys()].filter((path) => path.endsWith("/7"));
    expect(paths).toEqual([`pg_tblspc/16400/${VERSION_DIRECTORY}/5/7`]);
  });

  test("copies linked files and PostgreSQL's linked directories, and says so", async () => {
    const { pgdata, outside } = await dataDirectory();
    await writeFiles(outside, ["server.conf", "db/77"]);
    await symlink(join(outside, "server.conf"), join(pgdata, "pg_hba.conf"));
    await symlink(join(outside, "db"), join(pgdata, "base/6"));
    const { log, paths } = collectingLog();
    const entries = scan(pgdata, { log });
    expect(entries.get("pg_hba.conf")).toMatchObject({
      kind: "file",
      size: 11,
      linkTarget: join(outside, "server.conf"),
    });
    expect(entries.get("base/6")).toMatchObject({ kind: "directory", linkTarget: join(outside, "db") });
    expect(entries.get("base/6/77")).toMatchObject({ kind: "file", relation: { database: 6, relfilenode: 77 } });
    expect(paths.toSorted()).toEqual(["base/6", "pg_hba.conf"]);
  });

  test("keeps other links as links, and says so", async () => {
    const { pgdata, outside } = await dataDirectory();
    await symlink(outside, join(pgdata, "log"));
    await symlink(join(outside, "gone"), join(pgdata, "dangling"));
    await symlink("circle", join(pgdata, "circle"));
    const { log, paths } = collectingLog();
    const entries = scan(pgdata, { log });
    expect(entries.get("log")).toEqual({ kind: "symlink", path: "log", target: outside });
    expect(entries.get("dangling")).toMatchObject({ kind: "symlink" });
    expect(entries.get("circle")).toMatchObject({ kind: "symlink" });
    expect(paths.toSorted()).toEqual(["circle", "dangling", "log"]);
  });

  test("refuses a link that leads back above itself", async () => {
    const { pgdata } = await dataDirectory();
    await symlink("..", join(pgdata, "base/loop"));
    expect(thrownBy(() => scan(pgdata)).code).toBe("refused");
  });

  test("passes sockets and pipes over, and says so", async () => {
    const { pgdata } = await dataDirectory();
    execFileSync("mkfifo", [join(pgdata, "pipe")]);
    const { log, paths } = collectingLog();
    expect(scan(pgdata, { log }).has("pipe")).toBe(false);
    expect(paths).toEqual(["pipe"]);
  });

  test("passes over a directory that vanishes meanwhile", async () => {
    const { pgdata } = await dataDirectory(["base/7/1", "base/7/2"]);
    const seen: string[] = [];
    for (const { path } of scanDataDirectory(pgdata)) {
      seen.push(path);
      if (path === "base") await rm(join(pgdata, "base/7"), { recursive: true });
    }
    expect(seen).not.toContain("base/7/1");
    expect(seen.at(-1)).toBe("global/pg_control");
  });

  test.skipIf(process.getuid?.() === 0)("fails when a directory may not be read", async () => {
    const { pgdata } = await dataDirectory(["pg_xact/0000"]);
    await chmod(join(pgdata, "pg_xact"), 0);
    expect(thrownBy(() => scan(pgdata))).toMatchObject({ code: "denied", object: join(pgdata, "pg_xact") });
    await chmod(join(pgdata, "pg_xact"), 0o700);
  });
});
