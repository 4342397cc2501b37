import { describe, expect, test } from "vitest";
import {
  isExcludedContents,
  isExcludedName,
  isTemporaryRelation,
  parseRelationPath,
  relationOfInitFork,
  walSubdirectories,
} from "../../src/postgres/data-directory.ts";

describe("relation files", () => {
  test.each([
    ["base/5/16384", { database: 5, relfilenode: 16384, fork: "main", segment: 0 }],
    ["base/5/16384.12", { database: 5, relfilenode: 16384, fork: "main", segment: 12 }],
    ["base/5/16384_fsm", { database: 5, relfilenode: 16384, fork: "fsm", segment: 0 }],
    ["base/5/16384_vm.1", { database: 5, relfilenode: 16384, fork: "vm", segment: 1 }],
    ["base/5/4294967295_init", { database: 5, relfilenode: 4294967295, fork: "init", segment: 0 }],
    ["global/1262", { database: 0, relfilenode: 1262, fork: "main", segment: 0 }],
    ["pg_tblspc/16400/PG_17_202406281/5/16401", { database: 5, relfilenode: 16401, fork: "main", segment: 0 }],
  ])("%s is one", (path, relation) => {
    expect(parseRelationPath(path)).toEqual(relation);
  });

  test.each([
    "PG_VERSION",
    "1262",
    "global/pg_control",
    "global/pg_filenode.map",
    "global/pg_internal.init",
    "base/5/PG_VERSION",
    "base/5/16384.0",
    "base/5/016384",
    "base/5/16384_xyz",
    "base/5/t3_16384",
    "base/16384",
    "base/5/6/16384",
    "pg_xact/0000",
    "pg_tblspc/16400/5/16401",
    "pg_multixact/offsets/0000",
  ])("%s is none", (path) => {
    expect(parseRelationPath(path)).toBeUndefined();
  });

  test.each(["t3_16384", "t12_16384.1", "t3_16384_fsm", "t3_16384_vm.2"])("%s is a temporary one's", (name) => {
    expect(isTemporaryRelation(name)).toBe(true);
  });

  test.each(["16384", "t_16384", "t3_", "t3", "tt3_1", "t3_1_x"])("%s is no temporary one's", (name) => {
    expect(isTemporaryRelation(name)).toBe(false);
  });

  test("an init fork makes its relation unlogged", () => {
    expect(relationOfInitFork("16384_init")).toBe(16384);
    expect(relationOfInitFork("16384_init.1")).toBeUndefined();
    expect(relationOfInitFork("16384")).toBeUndefined();
  });
});

describe("what a backup leaves out", () => {
  test.each([
    ["", "postmaster.pid"],
    ["", "postmaster.opts"],
    ["", "backup_label"],
    ["", "backup_label.old"],
    ["", "tablespace_map.old"],
    ["", "backup_manifest"],
    ["", "postgresql.auto.conf.tmp"],
    ["", "current_logfiles.tmp"],
    ["", "recovery.signal"],
    ["", "standby.signal"],
    ["global", "pg_internal.init"],
    ["base/5", "pg_internal.init.4711"],
    ["base", "pgsql_tmp"],
    ["base/pgsql_tmp", "pgsql_tmp123.0"],
  ])("in %j, %s", (directory, name) => {
    expect(isExcludedName(directory, name)).toBe(true);
  });

  test.each([
    ["", "PG_VERSION"],
    ["", "postgresql.auto.conf"],
    ["", "current_logfiles"],
    ["", "pg_hba.conf"],
    ["", "log"],
    ["", "pg_stat"],
    ["log", "recovery.signal"],
    ["base/5", "pg_filenode.map"],
    ["pg_stat", "pgstat.stat"],
  ])("but not, in %j, %s", (directory, name) => {
    expect(isExcludedName(directory, name)).toBe(false);
  });

  test("keeps some directories empty", () => {
    const kept = ["pg_replslot", "pg_stat_tmp", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans", "pg_dynshmem"];
    expect(kept.filter(isExcludedContents)).toEqual(kept);
    expect(["pg_stat", "pg_xact", "base", "x/pg_notify"].filter(isExcludedContents)).toEqual([]);
  });

  test("keeps the folders of pg_wal that each version expects", () => {
    expect(walSubdirectories(16)).toEqual(["archive_status"]);
    expect(walSubdirectories(17)).toEqual(["archive_status", "summaries"]);
  });
});
