import { expect, test } from "vitest";
import { verifyFolder } from "../../src/repository/layout.ts";
import { loadVerifyRecords, writeVerifyRecord } from "../../src/repository/verify-record.ts";
import type { VerifyRecord } from "../../src/repository/verify-record.ts";
import { identity, moment, newRepository } from "./backup-fixture.ts";

function record(minutes: number): VerifyRecord {
  return {
    begun: moment,
    finished: new Date(moment.getTime() + minutes * 60_000),
    depth: "read",
    sample: minutes % 2 === 0 ? "5%" : undefined,
    result: "faults",
    faults: 3,
    unknown: 1,
    examples: [{ kind: "damaged", object: "main/x", problem: "cut short" }],
    backups: 2,
    segments: 17,
    packsRead: 4,
    segmentsRead: 16,
    bytesRead: 1_000_000,
    host: "db1",
    pgark: "0.1.0",
  };
}

test("records are read as they were written, the newest ten, the oldest first", async () => {
  const repository = await newRepository();
  const all = Array.from({ length: 13 }, (_, minutes) => record(minutes));
  for (const each of all) await writeVerifyRecord(repository, identity, each, {});
  expect(await loadVerifyRecords(repository, identity, {})).toEqual(all.slice(3));
});

test("of many runs that end in one second the last ones are kept", async () => {
  const repository = await newRepository();
  const all = Array.from({ length: 13 }, (_, run) => ({ ...record(1), segments: run }));
  for (const each of all) await writeVerifyRecord(repository, identity, each, {});
  expect(await loadVerifyRecords(repository, identity, {})).toEqual(all.slice(3));
});

test("two runs that end in one second both leave theirs", async () => {
  const repository = await newRepository();
  expect(await writeVerifyRecord(repository, identity, record(1), {})).toMatch(/T100100Z\.json$/);
  expect(await writeVerifyRecord(repository, identity, record(1), {})).toMatch(/T100100Z-1\.json$/);
  expect(await loadVerifyRecords(repository, identity, {})).toHaveLength(2);
});

test("what cannot be read, or is no record, is passed over", async () => {
  const repository = await newRepository();
  const folder = verifyFolder("main", identity);
  await repository.store.put(`${folder}20261120T090000Z.json`, Buffer.from("{"), { ifAbsent: true });
  await repository.store.put(`${folder}notes.txt`, Buffer.from("?"), { ifAbsent: true });
  await writeVerifyRecord(repository, identity, record(1), {});
  expect(await loadVerifyRecords(repository, identity, {})).toEqual([record(1)]);
});
