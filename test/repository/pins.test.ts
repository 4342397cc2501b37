import { expect, test } from "vitest";
import { backupFolder, pinsFolder } from "../../src/repository/layout.ts";
import { addPin, loadPins, loadPinsOf, removePins } from "../../src/repository/pins.ts";
import type { PinRecord } from "../../src/repository/pins.ts";
import { codeOf, keys } from "../storage/store-probes.ts";
import { identity, moment, newRepository } from "./backup-fixture.ts";

const label = "20261120T100000Z";

function pin(changes: Partial<PinRecord> = {}): PinRecord {
  return { label, until: undefined, reason: "", pinned: moment, host: "db1", ...changes };
}

test("pins lie in the backup's folder, one object each, and come back as they were, oldest first", async () => {
  const repository = await newRepository();
  const first = pin({ until: new Date("2027-01-01T00:00:00.000Z"), reason: `"before" the Überfahrt\n` });
  await addPin(repository, identity, first, {});
  await addPin(repository, identity, pin(), {});
  const folder = pinsFolder(repository.cluster, identity, label);
  expect(folder.startsWith(backupFolder(repository.cluster, identity, label))).toBe(true);
  expect(await keys(repository.store, folder)).toEqual([`${folder}000001.json`, `${folder}000002.json`]);
  expect(await loadPinsOf(repository, identity, label, {})).toEqual([first, pin()]);
  expect(await loadPins(repository, identity, ["20261119T100000Z", label], {})).toEqual([first, pin()]);
});

test("of pins set at the same moment none is lost", async () => {
  const repository = await newRepository();
  const reasons = ["a", "b", "c", "d", "e"];
  await Promise.all(reasons.map((reason) => addPin(repository, identity, pin({ reason }), {})));
  const found = await loadPinsOf(repository, identity, label, {});
  expect(found.map(({ reason }) => reason).toSorted()).toEqual(reasons);
});

test("all pins of a backup are taken away together; afterwards it can be pinned again", async () => {
  const repository = await newRepository();
  expect(await removePins(repository, identity, label, {})).toBe(0);
  await addPin(repository, identity, pin(), {});
  await addPin(repository, identity, pin(), {});
  expect(await removePins(repository, identity, label, {})).toBe(2);
  expect(await loadPinsOf(repository, identity, label, {})).toEqual([]);
  await addPin(repository, identity, pin({ reason: "again" }), {});
  expect(await loadPinsOf(repository, identity, label, {})).toEqual([pin({ reason: "again" })]);
});

test("a pin that cannot be read is an error, not no pin", async () => {
  const repository = await newRepository();
  await addPin(repository, identity, pin(), {});
  const key = `${pinsFolder(repository.cluster, identity, label)}000001.json`;
  const text = Buffer.from(await repository.store.get(key)).toString("utf8");
  await repository.store.put(key, Buffer.from(text.replace('"until": null', '"until": "2020-01-01T00:00:00.000Z"')), {
    ifAbsent: false,
  });
  expect(await codeOf(loadPinsOf(repository, identity, label, {}))).toBe("corrupt");
});
