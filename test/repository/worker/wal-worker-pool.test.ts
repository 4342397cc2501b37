import { setImmediate } from "node:timers/promises";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WalFileName } from "../../../src/postgres/wal-file-name.ts";
import { sealedBound } from "../../../src/repository/envelope/object-sealer.ts";
import { contentDigestHex } from "../../../src/repository/envelope/content-digest.ts";
import { openObject } from "../../../src/repository/envelope/whole-object.ts";
import { generateKeyPair, type KeyPair } from "../../../src/repository/keys.ts";
import type { OpenWalFileOptions } from "../../../src/repository/open-wal-file.ts";
import type { SealedWalFile } from "../../../src/repository/seal-wal-file.ts";
import { WalWorkerPool } from "../../../src/repository/worker/wal-worker-pool.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { identity } from "../backup-fixture.ts";
import { segmentOf, segmentSize } from "../wal-segment.ts";

// The worker's code is that of dist/: npm run build.
let pool: WalWorkerPool;
let keys: KeyPair;
let directory: string;
beforeAll(async () => {
  pool = new WalWorkerPool(2);
  keys = await generateKeyPair();
  directory = (await temporaryDirectory("pgark-wal-workers")).path;
});
afterAll(() => pool.close());

const segments = [1, 2, 3, 4, 5, 6].map((number) => segmentOf(identity, number, { compressible: number % 2 === 0 }));

function segmentAt(index: number): { readonly name: WalFileName; readonly bytes: Buffer } {
  const segment = segments[index];
  if (segment === undefined) throw new Error("there is no such segment");
  return segment;
}

async function seal(
  index: number,
  recipientSets: readonly (readonly string[])[],
  workers = pool,
): Promise<SealedWalFile> {
  const { name, bytes } = segmentAt(index);
  const path = join(directory, name.name);
  await writeFile(path, bytes);
  const now = new Date("2026-11-20T10:00:00.000Z");
  const task = { name, recipientSets, level: 1, writer: "db1", now };
  return workers.sealFile(path, task);
}

async function isSegment(sealed: SealedWalFile, index: number, encrypted: readonly boolean[]): Promise<boolean> {
  const opened = await Promise.all(
    sealed.bodies.map((body, set) =>
      openObject(body, { encrypted: encrypted[set] ?? false, identities: [keys.identity] }),
    ),
  );
  return opened.length > 0 && opened.every(({ plain }) => Buffer.from(plain).equals(segmentAt(index).bytes));
}

test("files are sealed side by side and come back as they were, whether they compress or not", async () => {
  const sealed = await Promise.all(segments.map((_, index) => seal(index, [[keys.recipient], []])));
  for (const [index, each] of sealed.entries()) {
    expect(each).toMatchObject({ size: segmentSize, digest: contentDigestHex(segmentAt(index).bytes), identity });
    expect(await isSegment(each, index, [true, false])).toBe(true);
    each.release?.();
  }
});

test("memory is used again once it was given back, and not before", async () => {
  const own = new WalWorkerPool(1);
  try {
    const first = await seal(0, [[]], own);
    const second = await seal(1, [[]], own);
    expect(await isSegment(first, 0, [false])).toBe(true);
    first.release?.();
    const third = await seal(2, [[]], own);
    first.release?.(); // once too often
    const fourth = await seal(3, [[]], own);
    for (const [index, each] of [second, third, fourth].entries())
      expect(await isSegment(each, index + 1, [false])).toBe(true);
    expect(shareMemory(first, second)).toBe(false);
    expect(shareMemory(first, third)).toBe(true);
    expect(shareMemory(third, fourth)).toBe(false);
  } finally {
    await own.close();
  }
});

/** Whether what is written to one body is found in the other. */
function shareMemory(one: SealedWalFile, other: SealedWalFile): boolean {
  const [[a = new Uint8Array(1)], [b = new Uint8Array(1)]] = [one.bodies, other.bodies];
  const before = b[0];
  a[0] = (before ?? 0) ^ 1;
  return b[0] !== before;
}

test("what does not compress at all fits into its bound", async () => {
  for (const index of [0, 1]) {
    const sealed = await seal(index, [[keys.recipient]]);
    expect(sealed.bodies[0]?.length).toBeLessThan(sealedBound(segmentSize));
    expect(sealed.bodies[0]?.buffer).toBeInstanceOf(SharedArrayBuffer);
  }
});

/** As though a store had brought the object, in its own memory. */
async function openFile(stored: Uint8Array, path: string, options: OpenWalFileOptions): Promise<number> {
  return pool.loadToFile(segmentSize, async () => stored, path, options);
}

test("stored objects are written to files, from shared memory and from memory that is handed over", async () => {
  const sealed = await seal(1, [[keys.recipient]]);
  const [body = new Uint8Array()] = sealed.bodies;
  for (const stored of [body, Uint8Array.from(body), Buffer.concat([Buffer.alloc(7), body]).subarray(7)]) {
    const path = join(directory, "target");
    const options = { name: segmentAt(1).name, identity, encrypted: true, identities: [keys.identity] };
    expect(await openFile(stored, path, options)).toBe(segmentSize);
    expect((await readFile(path)).equals(segmentAt(1).bytes)).toBe(true);
  }
});

test("memory that objects are read into is lent to one at a time, and again", async () => {
  const own = new WalWorkerPool(2);
  try {
    const bodies: (readonly [number, Buffer])[] = [];
    for (const index of segments.keys()) {
      const sealed = await seal(index, [[]]);
      bodies.push([index, Buffer.concat(sealed.bodies)]);
      sealed.release?.();
    }
    const lent = new Set<number>();
    const load = async ([index, body]: readonly [number, Buffer], round: number): Promise<void> => {
      const path = join(directory, `loaded-${index}-${round}`);
      const options = { name: segmentAt(index).name, identity, encrypted: false, identities: [] };
      const read = async (into: Uint8Array): Promise<Uint8Array> => {
        lent.add(into.byteOffset);
        into.set(body);
        await setImmediate();
        return into.subarray(0, body.length);
      };
      expect(await own.loadToFile(segmentSize, read, path, options)).toBe(segmentSize);
      expect((await readFile(path)).equals(segmentAt(index).bytes)).toBe(true);
    };
    for (const round of [1, 2, 3]) await Promise.all(bodies.map((body) => load(body, round)));
    expect(lent.size).toBe(bodies.length);
  } finally {
    await own.close();
  }
});

test("an object that could not be read is no file, and its memory is lent again", async () => {
  const lent: number[] = [];
  const path = join(directory, "never");
  const options = { name: segmentAt(0).name, identity, encrypted: false, identities: [] };
  const own = new WalWorkerPool(1);
  try {
    const fail = async (into: Uint8Array): Promise<Uint8Array> => {
      lent.push(into.byteOffset);
      throw new Error("no answer");
    };
    for (const _ of [1, 2]) {
      await expect(own.loadToFile(segmentSize, fail, path, options)).rejects.toThrow("no answer");
      await setImmediate();
    }
    expect(lent[1]).toBe(lent[0]);
    expect(await readdir(directory)).not.toContain("never");
  } finally {
    await own.close();
  }
});

test("errors come through with their code, object, hint and facts, and the workers stay usable", async () => {
  const { name } = segmentAt(0);
  const settings = { name, recipientSets: [[]], level: 1, writer: "db1", now: new Date(0) };
  const missing = join(directory, "none");
  await expect(pool.sealFile(missing, settings)).rejects.toMatchObject({
    name: "PgarkError",
    code: "io",
    object: missing,
    hint: expect.stringContaining("working directory"),
  });
  const sealed = await seal(0, [[keys.recipient]]);
  const [body = new Uint8Array()] = sealed.bodies;
  const target = join(directory, "refused");
  const options = { name, identity, encrypted: true, identities: [keys.identity], key: "main/key" };
  await expect(
    openFile(body, target, { ...options, identity: { ...identity, majorVersion: 16 } }),
  ).rejects.toMatchObject({
    code: "identity-mismatch",
    object: "main/key",
    facts: { expected: expect.stringMatching(/^16-/) },
  });
  await expect(openFile(body, target, { ...options, identities: [] })).rejects.toMatchObject({
    code: "no-identity",
  });
  await expect(openFile(body.subarray(1), target, options)).rejects.toMatchObject({ code: "corrupt" });
  expect(await readdir(directory)).not.toContain("refused");
  expect(await openFile(body, target, options)).toBe(segmentSize);
});

test("who has given up is told at once, and the work that was begun disturbs nobody", async () => {
  const { name } = segmentAt(0);
  const path = join(directory, name.name);
  const options = { name, recipientSets: [[keys.recipient]], level: 1, writer: "db1", now: new Date(0) };
  const stop = new AbortController();
  const sealing = pool.sealFile(path, { ...options, signal: stop.signal });
  stop.abort();
  await expect(sealing).rejects.toMatchObject({ code: "aborted" });
  await expect(pool.sealFile(path, { ...options, signal: stop.signal })).rejects.toMatchObject({ code: "aborted" });
  const next = await Promise.all([2, 3, 4, 5].map((index) => seal(index, [[keys.recipient]])));
  for (const [index, each] of next.entries()) expect(await isSegment(each, index + 2, [true])).toBe(true);
});
