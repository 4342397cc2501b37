import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pageChecksum } from "../../../src/postgres/page-checksum.ts";
import type { CheckedPack, CheckFile, PageCheck } from "../../../src/repository/worker/check-tasks.ts";
import { type BuiltPack, Counters } from "../../../src/repository/worker/pack-tasks.ts";
import { receiveObject } from "../../../src/repository/worker/receive-object.ts";
import { sendPack } from "../../../src/repository/worker/send-pack.ts";
import { createSharedParts } from "../../../src/repository/worker/shared-parts.ts";
import { WorkerPool } from "../../../src/repository/worker/worker-pool.ts";
import { MemoryStore } from "../../../src/storage/drivers/memory/memory-store.ts";

// The worker's code is that of dist/: npm run build.
let pool: WorkerPool;
beforeAll(() => {
  pool = new WorkerPool(1);
});
afterAll(() => pool.close());

const blockSize = 8192;

/** The third file of a relation, with pages that were changed at LSNs 100, 101, ... */
function relation(pages: number): Buffer {
  const content = Buffer.alloc(pages * blockSize, 7);
  for (let page = 0; page < pages; page++) {
    content.writeUInt32LE(0, page * blockSize); // the high half comes first
    content.writeUInt32LE(100 + page, page * blockSize + 4);
    const words = new Int32Array(content.buffer, content.byteOffset, content.length / 4);
    const sum = pageChecksum(words, page * (blockSize / 4), blockSize / 4, firstBlock + page);
    content.writeUInt16LE(sum, page * blockSize + 8);
  }
  return content;
}

const firstBlock = 2 * 131_072;
const other = Buffer.alloc(300_000, "other");

async function build(content: Buffer): Promise<{ readonly store: MemoryStore; readonly built: BuiltPack }> {
  const store = new MemoryStore(() => new Date(0));
  const entry = { kind: "content", mode: 0o600, modifiedMs: 0 } as const;
  const built = await sendPack({
    store,
    pool,
    key: "pack",
    entries: [
      { ...entry, path: "other", content: other },
      { ...entry, path: "base/5/1.2", content },
      { ...entry, path: "empty", content: Buffer.alloc(0) },
    ],
    header: undefined,
    level: 1,
    blockSize,
    rate: undefined,
    parts: createSharedParts(store.capabilities.partSize),
    counters: Counters.create(),
    signal: undefined,
  });
  return { store, built };
}

async function check(
  { store, built }: { readonly store: MemoryStore; readonly built: BuiltPack },
  changes: { readonly file?: Partial<CheckFile>; readonly pages?: PageCheck | undefined } = {},
): Promise<CheckedPack> {
  const files = built.files.map(({ path, offset, size, crc32c }): CheckFile => {
    const isRelation = path === "base/5/1.2";
    const known = { path, offset, size, crc32c, firstBlock: isRelation ? firstBlock : undefined, badPages: [] };
    return { ...known, wanted: path === "other", ...(isRelation ? changes.file : {}) };
  });
  const parts = createSharedParts(64 * 1024);
  const object = {
    store,
    key: "pack",
    size: built.storedSize,
    encrypted: false,
    secretKeys: [],
    parts,
    signal: undefined,
  };
  const pages = "pages" in changes ? changes.pages : { blockSize, tornFrom: undefined };
  return receiveObject(object, ({ header, key }, released) => {
    const counters = Counters.create();
    const { storedSize, sha256 } = built;
    return pool.run("checkPack", { header, key, sha256, storedSize, files, pages, parts, counters }, released);
  });
}

describe("a pack that is read to see whether it is whole", () => {
  test("has no faults when it is, and gives back what was wanted of it", async () => {
    const { faults, contents } = await check(await build(relation(70)));
    expect(faults).toEqual([]);
    expect(contents.map(({ path, content }) => [path, other.equals(content)])).toEqual([["other", true]]);
  });

  test("tells the pages whose checksum does not hold, by their numbers in the file", async () => {
    const content = relation(70);
    for (const page of [0, 33, 69]) content.writeUInt8(1, page * blockSize + 5000);
    const pack = await build(content);
    const problem = expect.stringContaining("3 pages do not hold, and did when they were copied: 0, 33, 69");
    expect((await check(pack)).faults).toEqual([{ kind: "pages", path: "base/5/1.2", problem }]);
    // Known when they were copied; torn pages, as a server sends them; a cluster without checksums.
    expect((await check(pack, { file: { badPages: [0, 33, 69] } })).faults).toEqual([]);
    expect((await check(pack, { pages: { blockSize, tornFrom: 100n } })).faults).toEqual([]);
    expect((await check(pack, { pages: undefined })).faults).toEqual([]);
    const [torn] = (await check(pack, { pages: { blockSize, tornFrom: 120n } })).faults;
    expect(torn?.problem).toContain("page 0 ");
  });

  test("passes over pages that were never written, and over the rest of a page at the end of a file", async () => {
    const content = Buffer.concat([relation(2), Buffer.alloc(3 * blockSize), Buffer.alloc(100, 9)]);
    expect((await check(await build(content))).faults).toEqual([]);
  });

  test("tells a file that is not what the manifest says, and goes on with the next", async () => {
    const { faults, contents } = await check(await build(relation(3)), { file: { crc32c: 1 } });
    expect(faults).toMatchObject([{ kind: "file", path: "base/5/1.2" }]);
    expect(contents).toHaveLength(1);
  });

  test("tells where its content ends when bytes were changed, and that they were", async () => {
    const pack = await build(relation(70));
    const stored = Buffer.from(await pack.store.get("pack"));
    stored.writeUInt8(stored.readUInt8(stored.length >> 1) ^ 1, stored.length >> 1);
    await pack.store.put("pack", stored, { ifAbsent: false });
    const { faults } = await check(pack);
    expect(faults.map(({ kind }) => kind)).toEqual(["content", "stored"]);
    expect(faults[0]?.path).toBe("base/5/1.2");
  });

  test("is told to be changed where no content depends on it, such as in the seek table", async () => {
    const pack = await build(relation(3));
    const stored = Buffer.from(await pack.store.get("pack"));
    stored.writeUInt8(stored.readUInt8(stored.length - 12) ^ 1, stored.length - 12);
    await pack.store.put("pack", stored, { ifAbsent: false });
    expect((await check(pack)).faults.map(({ kind }) => kind)).toEqual(["stored"]);
  });

  test("ends too early for the files that the manifest says are behind its end", async () => {
    const { faults } = await check(await build(relation(3)), { file: { offset: 10_000_000 } });
    expect(faults).toMatchObject([
      { path: "base/5/1.2", problem: "the pack ends before the file does" },
      { path: "empty" },
    ]);
  });
});
