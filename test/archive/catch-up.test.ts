import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { catchUpMs, copyWal, missingWal, walPlace } from "../../src/archive/catch-up.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { walKey } from "../../src/repository/layout.ts";
import { identity, type Keys, moment } from "../repository/backup-fixture.ts";
import { newPlace, type Place, plant, sealed, segment, unmount } from "../repository/members-fixture.ts";

const since = new Date(moment.getTime() - catchUpMs);
const longAgo = new Date(since.getTime() - 1);

let keys: Keys;
let young: Uint8Array;
let old: Uint8Array;
beforeAll(async () => {
  keys = { owner: await generateKeyPair(), host: await generateKeyPair() };
  young = await sealed("content");
  old = await sealed("content", [], longAgo);
});

async function missing(from: Place, to: Place, startAt?: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of missingWal(from.repository, to.repository, identity, { since, startAt }))
    names.push(name);
  return names;
}

async function plantAt(place: Place, when: Date, names: readonly string[], body: Uint8Array): Promise<void> {
  place.clock.now = when;
  await plant(place, names, body);
  place.clock.now = moment;
}

const byPlace = (a: string, b: string): number => (walPlace(a) < walPlace(b) ? -1 : 1);

/** All kinds of names, close enough to one another that they meet. */
const name = fc
  .record({
    timeline: fc.integer({ min: 1, max: 3 }),
    log: fc.integer({ min: 0, max: 2 }),
    number: fc.integer({ min: 0, max: 3 }),
    kind: fc.constantFrom("", "", "", ".partial", ".00000028.backup", ".history"),
  })
  .map(({ timeline, log, number, kind }) => {
    const [tli, middle, last] = [timeline, log, number].map((part) => part.toString(16).padStart(8, "0"));
    return kind === ".history" ? `${tli}.history` : `${tli}${middle}${last}${kind}`;
  });
const names = fc.uniqueArray(name, { maxLength: 25 });

describe("what a repository lacks", () => {
  test("is all that the other has since, after its own first file, encrypted or not, in order", async () => {
    await fc.assert(
      fc.asyncProperty(names, names, names, fc.boolean(), async (here, there, before, encrypted) => {
        const [from, to] = [await newPlace("from"), await newPlace("to", encrypted ? keys : undefined)];
        await plantAt(from, longAgo, before, old);
        await plantAt(from, moment, here, young);
        await plant(to, there, young);
        const first = [...there].sort(byPlace)[0];
        const wanted = here.filter((one) => !there.includes(one) && first !== undefined && byPlace(first, one) < 0);
        expect(await missing(from, to)).toEqual(wanted.sort(byPlace));
        const [some] = before;
        if (some === undefined) return;
        const later = wanted.filter((one) => byPlace(one, some) > 0 || one === some);
        expect(await missing(from, to, walPlace(some))).toEqual(later);
      }),
      { numRuns: 60 },
    );
  });

  test("after it was copied nothing is missing, and nothing else has changed", async () => {
    await fc.assert(
      fc.asyncProperty(names, names, names, async (here, there, before) => {
        const [from, to] = [await newPlace("from"), await newPlace("to")];
        await plantAt(from, longAgo, before, old);
        await plantAt(from, moment, here, young);
        // Copied lately, archived long ago: it would wander between repositories without end.
        const wandering = segment(0xff);
        await plantAt(from, moment, [wandering], old);
        await plant(to, there, young);
        const wanted = new Set([...there, ...(await missing(from, to)).filter((one) => one !== wandering)]);
        const source = await from.wal();
        for (const one of await missing(from, to))
          await copyWal(from.repository, to.repository, { identity, name: one, host: "db1", since });
        expect(await to.wal()).toEqual([...wanted].sort(byPlace));
        expect(await from.wal()).toEqual(source);
      }),
      { numRuns: 40 },
    );
  });

  test("is nothing where it has no WAL yet", async () => {
    const [from, to] = [await newPlace("from"), await newPlace("to")];
    await plant(from, [segment(1), segment(2)]);
    expect(await missing(from, to)).toEqual([]);
  });

  test("is nothing that was pruned before its first file", async () => {
    const [from, to] = [await newPlace("from"), await newPlace("to")];
    await plant(from, [1, 2, 3, 4, 5].map(segment));
    await plant(to, [3, 5].map(segment));
    expect(await missing(from, to)).toEqual([segment(4)]);
  });
});

describe("a copy of a WAL file", () => {
  const copy = (from: Place, to: Place): ReturnType<typeof copyWal> =>
    copyWal(from.repository, to.repository, { identity, name: segment(1), host: "db1", since });

  test("is the object as it is sealed", async () => {
    const [from, to] = [await newPlace("from", keys), await newPlace("to", keys)];
    await plant(from, [segment(1)]);
    expect(await copy(from, to)).toBe("copied");
    const key = walKey("main", identity, segment(1), true);
    expect(await to.store.get(key)).toEqual(await from.store.get(key));
    expect(await copy(from, to)).toBe("copied");
  });

  test("is not made of what is gone from the source", async () => {
    expect(await copy(await newPlace("from"), await newPlace("to"))).toBe("unwanted");
  });

  test("is not made of a damaged object", async () => {
    const damaged = Uint8Array.from(young);
    const last = damaged.length - 6;
    damaged[last] = (damaged[last] ?? 0) ^ 1;
    for (const body of [Buffer.from("rubbish"), damaged, young.subarray(0, -3)]) {
      const [from, to] = [await newPlace("from"), await newPlace("to")];
      await plant(from, [segment(1)], body);
      await expect(copy(from, to)).rejects.toMatchObject({ code: "corrupt" });
      expect(await to.wal()).toEqual([]);
    }
  });

  test("does not replace other content, and is not made where the cluster's record is gone", async () => {
    const [from, to] = [await newPlace("from"), await newPlace("to")];
    await plant(from, [segment(1)]);
    await unmount(to);
    await expect(copy(from, to)).rejects.toMatchObject({ code: "identity-mismatch" });
    expect(await to.wal()).toEqual([]);
    const other = await newPlace("other");
    await plant(other, [segment(1)], await sealed("other content"));
    await expect(copy(from, other)).rejects.toMatchObject({ code: "conflict" });
  });
});
