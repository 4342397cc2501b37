import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { VerifyState } from "../../src/verify/verify-state.ts";
import type { StateScope } from "../../src/verify/verify-state.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

const scope: StateScope = { repository: "file:///srv/pgark", cluster: "main", sample: undefined };
const now = (): Date => new Date("2026-11-20T10:00:00Z");

async function stateFile(): Promise<string> {
  return join((await temporaryDirectory()).path, "verify.json");
}

test("what was kept is found again, with seed and faults", async () => {
  const file = await stateFile();
  const state = await VerifyState.open(file, scope, { seed: "a1", now });
  expect(state.isResumed).toBe(false);
  const life = state.life("17-1");
  life.packs.set("20261120T100000Z", 7);
  life.wal.set(timelineId(2), 5_000_000_000n);
  life.packsRead = 7;
  life.faults = [
    {
      kind: "damaged",
      object: "key",
      problem: "cut short",
      hint: undefined,
      costs: [
        { kind: "backup", label: "20261120T100000Z" },
        { kind: "segments", timeline: timelineId(2), first: 5n, last: 6n },
        { kind: "history", timeline: timelineId(2) },
      ],
    },
  ];
  await state.save();
  const again = await VerifyState.open(file, scope, { seed: "b2", now: () => new Date(0) });
  expect(again).toMatchObject({ isResumed: true, seed: "a1", begun: now() });
  expect(again.life("17-1")).toEqual(life);
  await again.remove();
  await expect(stat(file)).rejects.toThrow("ENOENT");
});

test("the file of another run is refused, and so is one that is no state file; neither is touched", async () => {
  const file = await stateFile();
  const state = await VerifyState.open(file, scope, { seed: "a1", now });
  state.life("17-1");
  await state.save();
  const others = [
    { ...scope, repository: "file:///srv/other" },
    { ...scope, cluster: "other" },
    { ...scope, sample: "5%" },
  ];
  for (const other of others) {
    await expect(VerifyState.open(file, other, { seed: "", now })).rejects.toMatchObject({
      code: "refused",
      object: file,
    });
  }
  const text = "repository: file:///srv/pgark\n";
  await writeFile(file, text);
  await expect(VerifyState.open(file, scope, { seed: "", now })).rejects.toMatchObject({ code: "refused" });
  expect(await readFile(file, "utf8")).toBe(text);
});

test("an empty file, which a crash of the machine may leave, begins anew", async () => {
  const file = await stateFile();
  await writeFile(file, "");
  expect(await VerifyState.open(file, scope, { seed: "a1", now })).toMatchObject({ isResumed: false, seed: "a1" });
});

test("that it could not be written once does not keep it from being written later", async () => {
  const directory = (await temporaryDirectory()).path;
  const file = join(directory, "later", "verify.json");
  const state = await VerifyState.open(file, scope, { seed: "a1", now });
  await expect(state.save()).rejects.toMatchObject({ code: "io", object: file });
  await mkdir(join(directory, "later"));
  await state.save();
  await stat(file);
});

test("it is written no more often than every few seconds, and without a file not at all", async () => {
  let time = 0;
  const file = await stateFile();
  const state = await VerifyState.open(file, scope, { seed: "a1", now: () => new Date(time) });
  state.life("17-1");
  await state.saveSometimes();
  await expect(stat(file)).rejects.toThrow("ENOENT");
  time = 6_000;
  await state.saveSometimes();
  await stat(file);
  const kept = await VerifyState.open(undefined, scope, { seed: "a1", now });
  await kept.save();
  await kept.remove();
});
