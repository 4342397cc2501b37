import { expect, test } from "vitest";
import { catchUpMs } from "../../src/archive/catch-up.ts";
import { repositoryLag } from "../../src/archive/repository-lag.ts";
import { RepositoryMember } from "../../src/repository/members.ts";
import { identity, moment } from "../repository/backup-fixture.ts";
import { down, newPlaces, type Place, plant, segment, unmount } from "../repository/members-fixture.ts";

const segments = (...numbers: readonly number[]): readonly string[] => numbers.map(segment);

const lagOf = (places: readonly Pick<Place, "member">[]) =>
  repositoryLag(
    places.map(({ member }) => member),
    identity,
    { now: moment },
  );

const level = { reachable: true, lacking: 0, first: undefined, last: undefined, old: 0 };

test("repositories with the same files are level, and one alone is", async () => {
  const places = (await newPlaces(2)) as [Place, Place];
  for (const place of places) await plant(place, [...segments(1, 2), "00000002.history"]);
  expect(await lagOf(places)).toEqual([
    { ...level, url: "memory://r1", files: 3 },
    { ...level, url: "memory://r2", files: 3 },
  ]);
  expect(await lagOf(places.slice(0, 1))).toEqual([{ ...level, url: "memory://r1", files: 3 }]);
});

test("each lacks what any of the others has, counted once, from its own first file on", async () => {
  const places = (await newPlaces(3)) as [Place, Place, Place];
  await plant(places[0], [...segments(1, 2, 4, 6), `${segment(6)}.partial`]);
  await plant(places[1], segments(3, 6));
  await plant(places[2], segments(1, 4, 5, 6));
  expect(await lagOf(places)).toMatchObject([
    { files: 5, lacking: 2, first: segment(3), last: segment(5) },
    { files: 2, lacking: 3, first: segment(4), last: `${segment(6)}.partial` },
    { files: 4, lacking: 3, first: segment(2), last: `${segment(6)}.partial` },
  ]);
});

test("what was archived too long ago to be brought is counted apart", async () => {
  const places = (await newPlaces(2)) as [Place, Place];
  places[0].clock.now = new Date(moment.getTime() - catchUpMs - 1);
  await plant(places[0], segments(1, 2, 3));
  places[0].clock.now = moment;
  await plant(places[0], segments(4));
  await plant(places[1], segments(1, 3));
  expect(await lagOf(places)).toMatchObject([{ lacking: 0 }, { lacking: 1, first: segment(4), old: 1 }]);
});

test("an empty one lacks nothing yet, and says that it has no file", async () => {
  const places = (await newPlaces(2)) as [Place, Place];
  await plant(places[0], segments(1, 2));
  expect((await lagOf(places))[1]).toEqual({ ...level, url: "memory://r2", files: 0 });
});

test("one that cannot be asked, or was unmounted, is said to be so, and the others are compared", async () => {
  const places = (await newPlaces(4)) as [Place, Place, Place, Place];
  await plant(places[0], segments(1, 2));
  await plant(places[1], segments(1));
  await plant(places[2], segments(1, 2, 3));
  await unmount(places[2]);
  await places[3].member.open();
  places[3].store.isDown = true;
  const closed = new RepositoryMember("memory://closed", () => Promise.reject(down()));
  expect(await lagOf([...places, { member: closed }])).toMatchObject([
    { reachable: true, lacking: 0 },
    { reachable: true, lacking: 1, first: segment(2), last: segment(2) },
    { reachable: false, error: { code: "identity-mismatch" } },
    { reachable: false, error: { code: "unavailable" } },
    { url: "memory://closed", reachable: false, error: { code: "unavailable" } },
  ]);
});

test("one that fails in the middle of its list is said to be so", async () => {
  const places = (await newPlaces(2)) as [Place, Place];
  for (const place of places) await plant(place, segments(1, 2, 3));
  const { store } = places[1];
  const list = store.list.bind(store);
  store.list = async function* (...args) {
    for await (const info of list(...args)) {
      if (info.key.includes(segment(2))) throw down();
      yield info;
    }
  };
  expect(await lagOf(places)).toMatchObject([{ reachable: true, files: 3, lacking: 0 }, { reachable: false }]);
});

test("who stops it is told so", async () => {
  const places = await newPlaces(2);
  const members = places.map(({ member }) => member);
  const options = { now: moment, signal: AbortSignal.abort() };
  await expect(repositoryLag(members, identity, options)).rejects.toMatchObject({ code: "aborted" });
});
