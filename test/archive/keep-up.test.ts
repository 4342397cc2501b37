import { beforeAll, describe, expect, test } from "vitest";
import type { KeepUpOptions } from "../../src/archive/keep-up.ts";
import { PgarkError } from "../../src/errors.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { RepositoryMember } from "../../src/repository/members.ts";
import type { Keys } from "../repository/backup-fixture.ts";
import { down, newPlace, newPlaces, type Place, plant, sealed, segment } from "../repository/members-fixture.ts";
import { breathe, keepUpStage } from "./keep-up-stage.ts";

let keys: Keys;
beforeAll(async () => {
  keys = { owner: await generateKeyPair(), host: await generateKeyPair() };
});

const four = [1, 2, 3, 4].map(segment);

describe("repositories that are kept level", () => {
  test("are compared at the beginning, and each gets what it lacks of the others'", async () => {
    const places = (await newPlaces(3)) as [Place, Place, Place];
    await plant(places[0], [1, 2, 4].map(segment));
    await plant(places[1], [1, 3].map(segment));
    await plant(places[2], [1, 2].map(segment));
    const { keepUp, tick, log } = keepUpStage(places);
    expect(keepUp.busy).toBe(true);
    await tick();
    for (const place of places) expect(await place.wal()).toEqual(four);
    expect(keepUp.busy).toBe(false);
    expect(log.lines).toContain("info: memory://r1 was brought 1 WAL files that it lacked");
  });

  test("one alone is compared with nobody", async () => {
    const [place] = (await newPlaces(1)) as [Place];
    const { keepUp, tick } = keepUpStage([place]);
    keepUp.behind({ member: place.member, name: segment(1), reason: down() });
    await tick();
    expect(keepUp.busy).toBe(false);
    expect(place.store.lists).toBe(0);
  });

  test("one that is down is tried again after ever longer pauses up to a minute, told of once, and catches up", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    await plant(first, four);
    await plant(second, [segment(1)]);
    second.store.isDown = true;
    const { keepUp, tick, pauses, log } = keepUpStage([first, second]);
    for (let round = 0; round < 10; round++) await tick();
    const failing = pauses.filter((pause) => pause > 1000);
    expect(failing.slice(0, 5)).toEqual([2000, 4000, 8000, 16_000, 32_000]);
    expect(new Set(failing.slice(5))).toEqual(new Set([60_000]));
    expect(pauses.length).toBeLessThan(15);
    expect(log.lines).toEqual(["warn: memory://r2 cannot catch up yet"]);
    expect(second.member.away).toBeDefined();
    expect(keepUp.busy).toBe(true);
    second.store.isDown = false;
    await tick();
    await tick();
    expect(await second.wal()).toEqual(four);
    expect(second.member.away).toBeUndefined();
    expect(keepUp.busy).toBe(false);
    expect(log.lines.at(-1)).toBe("info: memory://r2 has caught up");
  });

  test("one that answers but takes nothing is paused for, too", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    await plant(first, four);
    await plant(second, [segment(1)]);
    second.store.refusal = new PgarkError("io", "the file system is full", { operation: "write object" });
    const begun = second.store.writes;
    const { tick, pauses } = keepUpStage([first, second]);
    for (let round = 0; round < 3; round++) await tick();
    expect(second.store.writes - begun).toBeLessThanOrEqual(4);
    expect(Math.max(...pauses)).toBeGreaterThanOrEqual(8000);
  });

  test("one that is left behind is compared again, from the first file that it lacks on", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    for (const place of [first, second]) await plant(place, [segment(1)]);
    const { keepUp, tick, log } = keepUpStage([first, second]);
    await tick();
    await tick();
    await plant(first, four);
    keepUp.behind({ member: second.member, name: segment(4), reason: down() });
    keepUp.behind({ member: second.member, name: segment(3), reason: down() });
    expect(second.member.away).toBeDefined();
    expect(keepUp.busy).toBe(true);
    await tick();
    expect(await second.wal()).toEqual([1, 3, 4].map(segment));
    expect(second.member.away).toBeUndefined();
    expect(log.lines.filter((line) => line.includes("lags behind"))).toHaveLength(1);
  });

  test("one that is left behind while it catches up is not forgotten", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    await plant(first, [1, 2].map(segment));
    await plant(second, [segment(1)]);
    const { promise, resolve } = Promise.withResolvers<void>();
    second.store.gate = promise;
    const begun = second.store.writes;
    const { keepUp, tick } = keepUpStage([first, second]);
    await tick();
    expect(second.store.writes).toBe(begun + 1);
    expect(keepUp.busy).toBe(true);
    // Sorts before what is being copied, so this comparison does not see it.
    await plant(first, ["000000010000000000000001.00000028.backup"]);
    keepUp.behind({ member: second.member, name: "000000010000000000000001.00000028.backup", reason: undefined });
    second.store.gate = undefined;
    resolve();
    await breathe();
    await tick();
    await tick();
    expect(await second.wal()).toEqual(await first.wal());
    expect(keepUp.busy).toBe(false);
  });

  test("one that is only slow goes on being asked", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    const { keepUp } = keepUpStage([first, second]);
    keepUp.behind({ member: second.member, name: segment(4), reason: undefined });
    expect(second.member.away).toBeUndefined();
  });

  test("what only one of them has reaches the others when that one is back", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    await plant(first, [segment(1)]);
    await plant(second, four);
    second.store.isDown = true;
    second.member.away = down();
    const { keepUp, tick } = keepUpStage([first, second]);
    await tick();
    await tick();
    expect(await first.wal()).toEqual([segment(1)]);
    second.store.isDown = false;
    for (let round = 0; round < 3; round++) await tick();
    expect(await first.wal()).toEqual(four);
    expect(keepUp.busy).toBe(false);
  });

  test("a source that fails keeps nothing from coming from another", async () => {
    const [target, broken, source] = (await newPlaces(3)) as [Place, Place, Place];
    await plant(target, [segment(1)]);
    await plant(source, four);
    const { tick } = keepUpStage([target, broken, source]);
    // Its records can be read.
    broken.store.list = () => {
      throw down();
    };
    await tick();
    expect(await target.wal()).toEqual(four);
    expect(target.member.away).toBeUndefined();
  });

  test("a damaged copy is passed over for a good one", async () => {
    const [target, damaged, source] = (await newPlaces(3)) as [Place, Place, Place];
    await plant(target, [segment(1)]);
    await plant(damaged, four, Buffer.from("rubbish"));
    await plant(source, four);
    const { tick, log } = keepUpStage([target, damaged, source]);
    await tick();
    expect(await target.wal()).toEqual(four);
    expect(log.lines.some((line) => line.includes("lacks"))).toBe(false);
  });
});

describe("files that only the data directory could bring", () => {
  async function differentKeys(): Promise<readonly [Place, Place]> {
    const places = [await newPlace("r1"), await newPlace("r2", keys)] as const;
    await plant(places[0], four);
    await plant(places[1], [segment(1)]);
    return places;
  }

  test("are stored from there", async () => {
    const [first, second] = await differentKeys();
    const storeFromDisk: KeepUpOptions["storeFromDisk"] = async (_, name) => {
      await plant(second, [name]);
      return true;
    };
    const { tick } = keepUpStage([first, second], { storeFromDisk });
    await tick();
    expect(await second.wal()).toEqual(four);
  });

  test("are said to be lost when it has them no more; the others come, and nobody asks again", async () => {
    const [first, second] = await differentKeys();
    const asked: string[] = [];
    const storeFromDisk: KeepUpOptions["storeFromDisk"] = async (_, name) => {
      asked.push(name);
      if (name !== segment(4)) return false;
      await plant(second, [name]);
      return true;
    };
    const { tick, keepUp, log } = keepUpStage([first, second], { storeFromDisk });
    for (let round = 0; round < 5; round++) await tick();
    expect(await second.wal()).toEqual([segment(1), segment(4)]);
    expect(asked).toEqual([2, 3, 4].map(segment));
    expect(keepUp.busy).toBe(false);
    expect(log.lines.filter((line) => line.startsWith("warn"))).toEqual([
      expect.stringContaining(`memory://r2 lacks 2 WAL files, the first of them ${segment(2)}`),
    ]);
  });
});

describe("other content than was acknowledged", () => {
  test("is thrown once, and logged", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    const { keepUp, tick, log } = keepUpStage([first, second]);
    await tick();
    keepUp.throwConflict();
    const reason = new PgarkError("conflict", "another server's", { operation: "push" });
    keepUp.behind({ member: second.member, name: segment(1), reason });
    expect(() => keepUp.throwConflict()).toThrow("another server's");
    keepUp.throwConflict();
    expect(keepUp.busy).toBe(false);
    expect(log.lines).toEqual(["warn: memory://r2 holds other WAL than was archived"]);
  });

  test("is noticed while catching up, too", async () => {
    const [first, second] = (await newPlaces(2)) as [Place, Place];
    await plant(first, [1, 2].map(segment));
    await plant(second, [segment(1)]);
    const { promise, resolve } = Promise.withResolvers<void>();
    second.store.gate = promise;
    const { keepUp, tick } = keepUpStage([first, second]);
    await tick();
    await plant(second, [segment(2)], await sealed("other content"));
    resolve();
    await breathe();
    expect(() => keepUp.throwConflict()).toThrow("already holds a different");
  });
});

test("it ends at once when it is asked to, though a repository hangs", async () => {
  const [place] = (await newPlaces(1)) as [Place];
  const hung = { member: new RepositoryMember("memory://hung", () => new Promise(() => undefined)) };
  const { tick, end } = keepUpStage([place, hung]);
  await tick();
  await expect(end()).resolves.toBeUndefined();
});
