import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PgarkError } from "../../../src/errors.ts";
import { makeHeader } from "../../../src/repository/envelope/age-header.ts";
import { generateKeyPair, type KeyPair } from "../../../src/repository/keys.ts";
import { type BuiltPack, Counters, type PackEntry } from "../../../src/repository/worker/pack-tasks.ts";
import { receivePack } from "../../../src/repository/worker/receive-pack.ts";
import { sendPack } from "../../../src/repository/worker/send-pack.ts";
import { createSharedParts } from "../../../src/repository/worker/shared-parts.ts";
import { WorkerPool } from "../../../src/repository/worker/worker-pool.ts";
import { MemoryStore } from "../../../src/storage/drivers/memory/memory-store.ts";
import type { ObjectStore } from "../../../src/storage/object-store.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";

// The worker's code is that of dist/: npm run build.
let pool: WorkerPool;
let keys: KeyPair;
beforeAll(async () => {
  pool = new WorkerPool(2);
  keys = await generateKeyPair();
});
afterAll(() => pool.close());

const content = randomBytes(3_000_000);
const file = { kind: "content", path: "base/5/1", mode: 0o600, modifiedMs: 0, content } as const;

async function send(store: ObjectStore, signal?: AbortSignal): Promise<BuiltPack> {
  const header = await makeHeader([keys.recipient], undefined);
  const parts = createSharedParts(store.capabilities.partSize);
  const entries: readonly PackEntry[] = [{ kind: "directory", path: "base/5", mode: 0o700 }, file];
  const shared = { level: 1, blockSize: 8192, rate: undefined, parts, counters: Counters.create(), signal };
  return sendPack({ store, pool, key: "pack", entries, header, ...shared });
}

async function receive(store: ObjectStore, built: BuiltPack, pgdata: string, crc32c?: number): Promise<void> {
  const [packed] = built.files;
  if (packed === undefined) throw new Error("the pack has no file");
  const wanted = { ...packed, target: join(pgdata, "file"), crc32c: crc32c ?? packed.crc32c };
  await receivePack({
    store,
    pool,
    key: "pack",
    size: built.storedSize,
    encrypted: true,
    secretKeys: [keys.identity],
    files: [wanted],
    parts: createSharedParts(store.capabilities.partSize),
    counters: Counters.create(),
    signal: undefined,
  });
}

test("a pack of many parts comes back as the file that went in", async () => {
  const store = new MemoryStore(() => new Date(0));
  const built = await send(store);
  expect(built.storedSize).toBe((await store.head("pack")).size);
  const { path } = await temporaryDirectory();
  await receive(store, built, path);
  expect(content.equals(await readFile(join(path, "file")))).toBe(true);
});

test("a store that fails in the middle ends the pack with its own error, and nothing appears", async () => {
  const inner = new MemoryStore(() => new Date(0));
  const full = new PgarkError("io", "the disk is full", { operation: "write object" });
  const aborted: string[] = [];
  const store: ObjectStore = Object.assign(Object.create(inner) as ObjectStore, {
    capabilities: inner.capabilities,
    beginUpload: async (...args: Parameters<ObjectStore["beginUpload"]>) => ({
      ...(await inner.beginUpload(...args)),
      part: (index: number) => (index === 7 ? Promise.reject(full) : Promise.resolve()),
      abort: async () => void aborted.push(args[0]),
    }),
  });
  await expect(send(store)).rejects.toBe(full);
  expect(aborted).toEqual(["pack"]);
  // The workers are free again.
  expect((await send(inner)).files).toHaveLength(1);
});

test("a signal that fires while the upload is being begun stops the pack, and nothing appears", async () => {
  const inner = new MemoryStore(() => new Date(0));
  const stop = new AbortController();
  const store: ObjectStore = Object.assign(Object.create(inner) as ObjectStore, {
    capabilities: inner.capabilities,
    beginUpload: async (key: string) => {
      const upload = await inner.beginUpload(key, { ifAbsent: true });
      stop.abort();
      return upload; // a driver that does not look at the signal any more
    },
  });
  await expect(send(store, stop.signal)).rejects.toMatchObject({ code: "aborted" });
  await expect(inner.head("pack")).rejects.toMatchObject({ code: "not-found" });
});

test("a pack that is cut short, changed or not what the manifest says is corrupt, and the workers stay usable", async () => {
  const store = new MemoryStore(() => new Date(0));
  const built = await send(store);
  const stored = await store.get("pack");
  const changed = Buffer.from(stored);
  changed.writeUInt8(changed.readUInt8(1_500_000) ^ 1, 1_500_000);
  for (const body of [
    stored.subarray(0, 100),
    stored.subarray(0, 1_000_000),
    stored.subarray(0, stored.length - 1),
    changed,
  ]) {
    await store.put("pack", body, { ifAbsent: false });
    const { path } = await temporaryDirectory();
    await expect(receive(store, built, path)).rejects.toMatchObject({
      code: "corrupt",
      object: "pack",
      hint: expect.stringContaining("--backup"),
    });
  }
  await store.put("pack", stored, { ifAbsent: false });
  const wrong = await temporaryDirectory();
  await expect(receive(store, built, wrong.path, 1)).rejects.toMatchObject({ code: "corrupt", object: "base/5/1" });
  const good = await temporaryDirectory();
  await receive(store, built, good.path);
  expect(await readdir(good.path)).toEqual(["file"]);
});
