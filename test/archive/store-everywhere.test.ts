import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Behind, StoreEverywhereOptions } from "../../src/archive/store-everywhere.ts";
import { storeEverywhere } from "../../src/archive/store-everywhere.ts";
import type { PgarkError } from "../../src/errors.ts";
import { parseWalFileName } from "../../src/postgres/wal-file-name.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { RepositoryMember } from "../../src/repository/members.ts";
import { loadWal } from "../../src/repository/wal-object.ts";
import { contentDigestHex } from "../../src/repository/envelope/content-digest.ts";
import { identity, type Keys } from "../repository/backup-fixture.ts";
import {
  down,
  newPlace,
  newPlaces,
  type Place,
  plant,
  sealed,
  segment,
  unmount,
} from "../repository/members-fixture.ts";

afterEach(() => {
  vi.useRealTimers();
});

interface Stage {
  readonly behind: Behind[];
  readonly sets: (readonly (readonly string[])[])[];
  released: number;
  readonly store: (name: string, changes?: Partial<StoreEverywhereOptions>) => ReturnType<typeof storeEverywhere>;
}

function stage(places: readonly Place[], quorum: number, changes: Partial<StoreEverywhereOptions> = {}): Stage {
  const self: Stage = {
    behind: [],
    sets: [],
    released: 0,
    store: (name, more) =>
      storeEverywhere({
        members: places.map(({ member }) => member),
        quorum,
        graceMs: 0,
        mostPending: 8,
        name: parseWalFileName(name) as NonNullable<ReturnType<typeof parseWalFileName>>,
        host: "db1",
        seal: async (recipientSets) => {
          self.sets.push(recipientSets);
          return {
            size: 7,
            digest: contentDigestHex(Buffer.from("content")),
            identity,
            bodies: await Promise.all(recipientSets.map((recipients) => sealed("content", recipients))),
            release: () => void self.released++,
          };
        },
        ownIdentity: () => identity,
        onBehind: (one) => self.behind.push(one),
        ...changes,
        ...more,
      }),
  };
  return self;
}

async function breathe(): Promise<void> {
  for (let round = 0; round < 8; round++) await turn();
}

type Kind = "well" | "has" | "down" | "unmounted" | "full" | "other";

async function placesThatAre(kinds: readonly Kind[]): Promise<readonly Place[]> {
  const places = await newPlaces(kinds.length);
  for (const [index, place] of places.entries()) {
    const kind = kinds[index];
    if (kind === "has") await plant(place, [segment(1)]);
    if (kind === "other") await plant(place, [segment(1)], await sealed("other content"));
    if (kind === "unmounted") await unmount(place);
    if (kind === "down") place.store.isDown = true;
    if (kind === "full") place.store.refusal = Object.assign(down(), { code: "io" });
  }
  return places;
}

describe("a file for several repositories", () => {
  const cases: readonly [
    kinds: readonly Kind[],
    quorum: number,
    outcome: number | string,
    behind: readonly number[],
  ][] = [
    [["well"], 1, 1, []],
    [["down"], 1, "unavailable", []],
    [["well", "well"], 2, 2, []],
    [["well", "has"], 2, 2, []],
    [["well", "down"], 2, "unavailable", []],
    [["full", "well"], 2, "io", []],
    [["well", "unmounted"], 2, "identity-mismatch", []],
    [["well", "down"], 1, 1, [1]],
    [["unmounted", "well"], 1, 1, [0]],
    [["full", "down"], 1, "io", []],
    [["well", "full", "has"], 2, 2, [1]],
    [["down", "full", "has"], 2, "unavailable", []],
    [["well", "other"], 2, "conflict", []],
    [["other", "down", "well"], 2, "conflict", []],
    [["down", "other"], 1, "conflict", []],
  ];
  test.each(cases)("%j with a quorum of %i: %s", async (kinds, quorum, outcome, behind) => {
    const places = await placesThatAre(kinds);
    const self = stage(places, quorum, { graceMs: 10_000 });
    const stored = await self.store(segment(1)).then(
      ({ length }) => length,
      (error: unknown) => (error as PgarkError).code,
    );
    expect(stored).toBe(outcome);
    expect(self.behind.map(({ member }) => places.findIndex((place) => place.member === member))).toEqual(behind);
    // Whatever becomes of the whole: better in some than in none.
    const having = await Promise.all(places.map(async ({ wal }) => (await wal()).length));
    expect(having).toEqual(kinds.map((kind) => (["well", "has", "other"].includes(kind) ? 1 : 0)));
  });

  test("the failure names the repository, how many have the file, and how many must", async () => {
    const places = await placesThatAre(["well", "down"]);
    await expect(stage(places, 2).store(segment(1))).rejects.toMatchObject({
      message: "memory://r2: the store does not answer (1 of 2 repositories could take it, 2 must)",
      object: segment(1),
    });
  });

  test("with no repository at all it is never acknowledged", async () => {
    await expect(stage([], 1).store(segment(1))).rejects.toThrow("no repository");
    await expect(stage(await newPlaces(1), 0).store(segment(1))).rejects.toThrow("no repository");
  });

  test("a conflict among those that answered is a failure though the quorum has the file", async () => {
    const places = await placesThatAre(["well", "other"]);
    await expect(stage(places, 1, { graceMs: 10_000 }).store(segment(1))).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("a repository that is slower than the quorum", () => {
  async function withSlow(kind: Kind = "well"): Promise<{ places: readonly Place[]; slow: Place; open: () => void }> {
    const places = await placesThatAre(["well", kind]);
    const slow = places[1] as Place;
    const { promise, resolve } = Promise.withResolvers<void>();
    slow.store.gate = promise;
    return { places, slow, open: resolve };
  }

  test("does not hold up the acknowledgement, and is not behind when it arrives", async () => {
    const { places, slow, open } = await withSlow();
    const self = stage(places, 1);
    expect(await self.store(segment(1))).toHaveLength(1);
    expect(slow.member.pending).toBe(1);
    expect(self.released).toBe(0);
    open();
    await breathe();
    expect(await slow.wal()).toEqual([segment(1)]);
    expect(slow.member.pending).toBe(0);
    expect(self).toMatchObject({ behind: [], released: 1 });
  });

  test("is told of when it fails later, and a conflict that it finds later too", async () => {
    for (const [kind, code] of [
      ["full", "io"],
      ["other", "conflict"],
    ] as const) {
      const { places, slow, open } = await withSlow(kind);
      const self = stage(places, 1);
      await self.store(segment(1));
      expect(self.behind).toEqual([]);
      open();
      await breathe();
      expect(self.behind).toMatchObject([{ member: slow.member, name: segment(1), reason: { code } }]);
      expect(self.released).toBe(1);
    }
  });

  test("holds a bounded number of files, then it is left behind", async () => {
    const { places, slow } = await withSlow();
    const self = stage(places, 1, { mostPending: 3 });
    for (let number = 1; number <= 20; number++) await self.store(segment(number));
    expect(slow.member.pending).toBe(3);
    expect(self.behind.map(({ name }) => name)).toEqual(Array.from({ length: 17 }, (_, index) => segment(index + 4)));
    expect(self.released).toBe(17);
    expect(self.behind.every(({ reason }) => reason === undefined)).toBe(true);
  });

  test("holds a bounded number of files even where too few others take part", async () => {
    const [first, second, slow] = (await newPlaces(3)) as [Place, Place, Place];
    slow.store.gate = new Promise(() => undefined);
    const self = stage([first, second, slow], 2, { mostPending: 3 });
    for (let number = 1; number <= 20; number++) {
      if (number > 3) second.member.away = down();
      await self.store(segment(number));
    }
    await breathe();
    expect(slow.member.pending).toBe(3);
    expect(await second.wal()).toHaveLength(20);
    expect(second.member.away).toBeUndefined();
  });

  test("is stopped where nothing may go on", async () => {
    const { places, slow } = await withSlow();
    const self = stage(places, 1, { mostPending: 0 });
    await self.store(segment(1));
    expect(self.behind).toMatchObject([{ member: slow.member }]);
    await breathe();
    expect(slow.member.pending).toBe(0);
    expect(self).toMatchObject({ released: 1, behind: { length: 1 } });
  });

  test("is waited for as long as its grace", async () => {
    const { places, slow, open } = await withSlow();
    const self = stage(places, 1, { graceMs: 60_000, mostPending: 0 });
    const storing = self.store(segment(1));
    await breathe();
    open();
    expect(await storing).toHaveLength(2);
    expect(await slow.wal()).toEqual([segment(1)]);
  });

  test("is not waited for when it only hangs while it is opened", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const [place] = (await newPlaces(1)) as [Place];
    const hung = { ...place, member: new RepositoryMember("memory://hung", () => new Promise(() => undefined)) };
    const self = stage([place, hung], 1);
    const storing = self.store(segment(1));
    await vi.advanceTimersByTimeAsync(5000);
    expect(await storing).toHaveLength(1);
    expect(self.behind).toMatchObject([{ member: hung.member, reason: { code: "unavailable" } }]);
  });

  test("does not go on when the process is asked to stop, and that is nobody's failure", async () => {
    const { places, slow } = await withSlow();
    const stop = new AbortController();
    const self = stage(places, 1, { signal: stop.signal });
    await self.store(segment(1));
    stop.abort();
    await breathe();
    expect(slow.member.pending).toBe(0);
    expect(self).toMatchObject({ behind: [], released: 1 });
  });
});

describe("a repository that is away", () => {
  test("is not asked while the others are enough, and all are when they are not", async () => {
    const places = await newPlaces(2);
    const [, second] = places as [Place, Place];
    second.member.away = down();
    const self = stage(places, 1);
    expect(await self.store(segment(1))).toHaveLength(1);
    expect(await second.wal()).toEqual([]);
    expect(self.behind).toMatchObject([{ member: second.member, reason: { code: "unavailable" } }]);
    expect(await stage(places, 2).store(segment(2))).toHaveLength(2);
  });
});

describe("repositories with different keys", () => {
  let keys: readonly [Keys, Keys];
  beforeAll(async () => {
    const pair = async (): Promise<Keys> => ({ owner: await generateKeyPair(), host: await generateKeyPair() });
    keys = [await pair(), await pair()];
  });

  test("get bodies sealed apart, each once, and each opens with its own", async () => {
    const places = [
      await newPlace("a", keys[0]),
      await newPlace("b", keys[1]),
      await newPlace("c"),
      await newPlace("d", keys[0]),
    ];
    const self = stage(places, 4);
    for (const name of [segment(1), "00000002.history"]) await self.store(name);
    const hosts = keys.map(({ owner, host }) => [owner.recipient, host.recipient]);
    expect(self.sets).toEqual([
      [[keys[0].owner.recipient], [keys[1].owner.recipient], []],
      [...hosts, []],
    ]);
    for (const { repository } of places) {
      for (const name of [segment(1), "00000002.history"])
        expect(Buffer.from(await loadWal(repository, identity, name, {})).toString()).toBe("content");
    }
  });
});
