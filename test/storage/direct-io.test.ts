import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { SharedMemory } from "../../src/repository/worker/shared-memory.ts";
import { readDirectly, writeDirectly } from "../../src/storage/drivers/file/direct-io.ts";
import { FileStore } from "../../src/storage/drivers/file/file-store.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

const block = 4096;
const large = 1024 * 1024;

let directory: string;
let isPossible: boolean;
beforeAll(async () => {
  directory = (await temporaryDirectory("pgark-direct")).path;
  // Where the file system cannot do it, all must go the usual way.
  const probe = join(directory, "probe");
  await writeFile(probe, "");
  isPossible = (await writeDirectly(probe, memoryOf(randomBytes(large)))) > 0;
});

/** These bytes where memory begins at a page. */
function memoryOf(bytes: Uint8Array): Uint8Array {
  const memory = new SharedMemory().take(bytes.length);
  memory.set(bytes);
  return memory.subarray(0, bytes.length);
}

const sizes = [0, 1, block, large - 1, large, large + 1, large + block, 4_300_123];

describe("what begins at a page", () => {
  test.each(sizes)("is written to a store and read back, %i bytes", async (size) => {
    const store = new FileStore(directory, { create: true });
    const bytes = randomBytes(size);
    const key = `pages/${size}`;
    await store.put(key, memoryOf(bytes), { ifAbsent: true });
    expect((await readFile(join(directory, key))).equals(bytes)).toBe(true);
    for (const room of [size, size + 1, size + block, 2 * size + 2 * block]) {
      const into = memoryOf(new Uint8Array(room));
      const got = await store.get(key, { into });
      expect(Buffer.from(got).equals(bytes)).toBe(true);
      expect(got.buffer === into.buffer || size === 0).toBe(true);
    }
    const tooSmall = memoryOf(new Uint8Array(Math.max(0, size - 1)));
    expect(Buffer.from(await store.get(key, { into: tooSmall })).equals(bytes)).toBe(true);
  });

  test("is written up to its last whole block, or not at all", async () => {
    const name = join(directory, "whole-blocks");
    await writeFile(name, "");
    const bytes = randomBytes(large + 100);
    expect(await writeDirectly(name, memoryOf(bytes))).toBe(isPossible ? large : 0);
    expect((await readFile(name)).equals(bytes.subarray(0, isPossible ? large : 0))).toBe(true);
    await writeFile(name, bytes);
    const into = memoryOf(new Uint8Array(large + block));
    const done = await readDirectly(name, into, large + 100);
    expect(done).toBe(isPossible ? large + 100 : 0);
    expect(Buffer.from(into.subarray(0, done)).equals(bytes.subarray(0, done))).toBe(true);
  });
});

test.each([
  ["memory that begins elsewhere", (bytes: Buffer) => memoryOf(Buffer.concat([Buffer.alloc(8), bytes])).subarray(8)],
  ["memory of JavaScript's own", (bytes: Buffer) => Uint8Array.from(bytes)],
  [
    "shared memory of JavaScript's own",
    (bytes: Buffer) => {
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
      shared.set(bytes);
      return shared;
    },
  ],
])("%s is written the usual way when the system refuses it", async (what, memory) => {
  const store = new FileStore(directory, { create: true });
  const bytes = randomBytes(4_300_123);
  await store.put(what, memory(bytes), { ifAbsent: true });
  expect((await readFile(join(directory, what))).equals(bytes)).toBe(true);
});

test("what is not there is not found, however it is read", async () => {
  const store = new FileStore(directory, { create: true });
  const into = memoryOf(new Uint8Array(large));
  await expect(store.get("pages/none", { into })).rejects.toMatchObject({ code: "not-found" });
  await expect(store.get("pages", { into })).rejects.toMatchObject({ code: "not-found" });
});

test("memory begins at a page, is as large as asked for, and is used again", () => {
  const shared = new SharedMemory();
  const pieces = [1, 4_300_123, 17_000_000].map((size) => ({ size, piece: shared.take(size) }));
  for (const { size, piece } of pieces) {
    expect(piece.byteOffset % block).toBe(0);
    expect(piece.length).toBeGreaterThanOrEqual(size);
  }
  const [, second] = pieces;
  if (second === undefined) throw new Error("three were taken");
  shared.giveBack(second.piece);
  expect(shared.take(4_000_000)).toBe(second.piece);
  expect(shared.take(4_000_000)).not.toBe(second.piece);
});

test("more than one stretch can hold is had elsewhere", () => {
  const shared = new SharedMemory();
  const piece = shared.take(2 ** 32 + 1);
  expect(piece.length).toBe(2 ** 32 + 1);
  const [small, other] = [shared.take(large), shared.take(large)];
  expect(other.byteOffset).toBe(small.byteOffset + large);
});
