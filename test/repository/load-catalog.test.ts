import { expect, test } from "vitest";
import type { Log } from "../../src/log.ts";
import { silentLog } from "../../src/log.ts";
import { formatLsn, lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { backupRecordFields, encodeBackupRecord } from "../../src/repository/backup-record-json.ts";
import { backupLabel, backupRecordKey } from "../../src/repository/layout.ts";
import { loadBackup, loadBackups, loadCatalog } from "../../src/repository/load-catalog.ts";
import { encodeRecord } from "../../src/repository/records.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { storeWal } from "../../src/repository/wal-object.ts";
import { backupRecord, identity, moment, newRepository } from "./backup-fixture.ts";

async function addWal(repository: Repository, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const plain = Buffer.from(name.endsWith(".history") ? "1\t0/5000000\tno recovery target specified\n" : name);
    await storeWal(repository, { identity, name, plain, level: 1, host: "db1", now: moment });
  }
}

async function addBackup(repository: Repository, label: string, content?: Uint8Array): Promise<void> {
  const body = content ?? encodeBackupRecord(backupRecord(label));
  await repository.store.put(backupRecordKey("main", identity, label), body, { ifAbsent: true });
}

function segment(timeline: number, number: number): string {
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, "0");
  return hex(timeline) + hex(Math.floor(number / 256)) + hex(number % 256);
}

test("adjacent segments are one interval, over the end of a log folder too; a hole begins the next", async () => {
  const repository = await newRepository();
  await addWal(
    repository,
    segment(1, 254),
    segment(1, 255),
    segment(1, 256),
    segment(1, 258),
    segment(2, 259),
    segment(2, 260),
  );
  const { wal } = await loadCatalog(repository, identity, { log: silentLog });
  expect(wal.map(({ timeline, first, last }) => [timeline, first, last])).toEqual([
    [1, 254n, 256n],
    [1, 258n, 258n],
    [2, 259n, 260n],
  ]);
});

test("partials stand apart, histories are read, and what else lies there is nobody's", async () => {
  const repository = await newRepository();
  await addWal(repository, segment(1, 4), `${segment(1, 5)}.partial`, "00000002.history", segment(2, 5));
  await addWal(repository, `${segment(1, 4)}.00000028.backup`);
  const folder = "main/17-7400000000000000001/wal/00000001/00000000";
  for (const stray of ["notes.txt", segment(1, 9), `${segment(1, 9)}.zst.age`, `${segment(1, 9)}.zst.tmp`]) {
    await repository.store.put(`${folder}/${stray}`, Buffer.from("x"), { ifAbsent: true });
  }
  const catalog = await loadCatalog(repository, identity, { log: silentLog });
  expect(catalog.wal.map(({ timeline, first, last }) => [timeline, first, last])).toEqual([
    [1, 4n, 4n],
    [2, 5n, 5n],
  ]);
  expect(catalog.partials).toEqual([{ timeline: 1, segment: 5n }]);
  expect([...catalog.histories.keys()]).toEqual([2]);
  const [ancestor] = catalog.histories.get(timelineId(2))?.ancestors ?? [];
  expect(ancestor?.timeline).toBe(1);
  expect(formatLsn(ancestor?.switchPoint ?? lsn(0n))).toBe("0/5000000");
});

test("a damaged history is an error: without it another timeline could pass for the latest", async () => {
  const repository = await newRepository();
  await addWal(repository, segment(1, 4), "00000002.history");
  const key = "main/17-7400000000000000001/wal/00000002/00000002.history.zst";
  const stored = Buffer.from(await repository.store.get(key));
  stored.writeUInt8(stored.readUInt8(stored.length - 6) ^ 1, stored.length - 6);
  await repository.store.put(key, stored, { ifAbsent: false });
  const loading = loadCatalog(repository, identity, { log: silentLog });
  await expect(loading).rejects.toMatchObject({ code: "corrupt", object: key });
});

test("backups come in the order of their stop times; those under way are not among them", async () => {
  const repository = await newRepository();
  const at = (label: string, seconds: number): Uint8Array =>
    encodeBackupRecord(backupRecord(label, { stopTime: new Date(moment.getTime() + seconds * 1000) }));
  await addBackup(repository, "20261120T100000Z", at("20261120T100000Z", 500));
  await addBackup(repository, "20261120T100100Z", at("20261120T100100Z", 100));
  const folder = "main/17-7400000000000000001/backups/20261120T100200Z";
  await repository.store.put(`${folder}/begun.json`, Buffer.from("{}"), { ifAbsent: true });
  await repository.store.put(`${folder}/data/000000.tar.zst`, Buffer.from("x"), { ifAbsent: true });
  const { backups } = await loadCatalog(repository, identity, { log: silentLog });
  expect(backups.map(({ label }) => label)).toEqual(["20261120T100100Z", "20261120T100000Z"]);
});

test("a backup whose record cannot be trusted is passed over with a warning that names it; the others stay usable", async () => {
  const repository = await newRepository();
  await addBackup(repository, "20261120T100000Z");
  const fields = { kind: "pgark backup", ...backupRecordFields(backupRecord("20261120T100500Z")) };
  const bad: Readonly<Record<string, Uint8Array>> = {
    "20261120T100100Z": Buffer.from("{"),
    "20261120T100200Z": encodeRecord({ format: 9 }),
    "20261120T100300Z": encodeBackupRecord(backupRecord("20261120T100000Z")),
    "20261120T100400Z": new Uint8Array(),
    "20261120T100500Z": encodeRecord({ ...fields, systemIdentifier: "many" }),
    "20261120T100600Z": encodeRecord({ ...fields, label: "20261120T100600Z", stopLsn: "nowhere" }),
    "20261120T100700Z": encodeRecord({ ...fields, label: "20261120T100700Z", systemIdentifier: "1" }),
  };
  for (const [label, content] of Object.entries(bad)) await addBackup(repository, label, content);
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => warnings.push(message) };
  const backups = await loadBackups(repository, identity, { log });
  expect(backups.map(({ label }) => label)).toEqual(["20261120T100000Z"]);
  expect(warnings).toHaveLength(7);
  for (const label of Object.keys(bad)) {
    expect(
      warnings.filter((warning) => warning.includes(label)),
      label,
    ).toHaveLength(1);
    await expect(loadBackup(repository, identity, label, {})).rejects.toMatchObject({ name: "PgarkError" });
  }
});

test("a store that does not answer is an error, never an empty catalog", async () => {
  const repository = await newRepository();
  await addBackup(repository, "20261120T100000Z");
  const get = repository.store.get.bind(repository.store);
  const failing: Repository["store"] = Object.assign(Object.create(repository.store) as Repository["store"], {
    get: async (key: string) => {
      if (key.endsWith("backup.json"))
        throw Object.assign(new Error("no route"), { name: "PgarkError", code: "unavailable" });
      return get(key);
    },
    listFolders: repository.store.listFolders.bind(repository.store),
    list: repository.store.list.bind(repository.store),
  });
  const loading = loadCatalog({ ...repository, store: failing }, identity, { log: silentLog });
  await expect(loading).rejects.toMatchObject({ code: "unavailable" });
});

test("the records of ten thousand backups are read sixteen at a time", async () => {
  const repository = await newRepository();
  const count = 10_000;
  const labels = Array.from({ length: count }, (_, index) => backupLabel(new Date(moment.getTime() + index * 1000), 0));
  for (const label of labels) await addBackup(repository, label);
  let turn = Promise.withResolvers<void>();
  let waiting = 0;
  // Nobody's record is given out before sixteen are asked for: with fewer at a time they would wait for ever.
  const get: Repository["store"]["get"] = async (key, options) => {
    const mine = turn;
    if (++waiting === 16) {
      [turn, waiting] = [Promise.withResolvers(), 0];
      mine.resolve();
    }
    await mine.promise;
    return repository.store.get(key, options);
  };
  const store: Repository["store"] = Object.assign(Object.create(repository.store) as Repository["store"], {
    get,
    listFolders: repository.store.listFolders.bind(repository.store),
  });
  const backups = await loadBackups({ ...repository, store }, identity, { log: silentLog });
  expect(backups.map(({ label }) => label)).toEqual(labels);
});
