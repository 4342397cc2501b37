import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { FileStore } from "../../src/storage/drivers/file/file-store.ts";
import { translateFileError } from "../../src/storage/drivers/file/file-errors.ts";
import { listLazily } from "../../src/storage/list-lazily.ts";
import type { Leftover, ListedObject } from "../../src/storage/object-store.ts";
import { undeletedOf } from "../../src/storage/undeleted.ts";
import { projectDirectory } from "../helpers/project.ts";
import { until } from "../helpers/processes.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { describeStore } from "./store-conformance.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const run = promisify(execFile);

describeStore("the file driver", async () => {
  const { path } = await temporaryDirectory("store");
  const root = join(path, "deep/root");
  return { store: new FileStore(root, { create: true }), second: new FileStore(root, { create: true }) };
});

/** A program in a process of its own that has a store in `store`, over `root`. */
function script(body: string): readonly string[] {
  const driver = join(projectDirectory, "src/storage/drivers/file/file-store.ts");
  return [
    "--input-type=module",
    "--eval",
    `import { FileStore } from ${JSON.stringify(driver)}; const [root, ...args] = process.argv.slice(1);` +
      `const store = new FileStore(root, { create: true }); ${body}`,
  ];
}

async function newRoot(): Promise<string> {
  return (await temporaryDirectory("store")).path;
}

async function unfinished(root: string): Promise<readonly string[]> {
  return readdir(join(root, ".tmp")).catch(() => []);
}

test("one of several processes that create a key wins, for each of many keys, and what is stored is whole", async () => {
  const root = await newRoot();
  const race = `for (let key = 0; key < 40; key++) {
    await store.put("race/" + key, Buffer.alloc(200000, args[0]), { ifAbsent: true })
      .then(() => console.log(key), (error) => { if (error.code !== "exists") throw error; });
  }`;
  const racers = ["a", "b", "c"];
  const outputs = await Promise.all(racers.map((name) => run(process.execPath, [...script(race), root, name])));
  const wins = outputs.map(({ stdout }) => stdout.split("\n").filter(Boolean).map(Number));
  expect(wins.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, key) => key));
  for (const [racer, won] of wins.entries()) {
    for (const key of won) {
      const body = await readFile(join(root, `race/${key}`), "latin1");
      expect(body === (racers[racer] ?? "").repeat(200_000)).toBe(true);
    }
  }
  expect(await unfinished(root)).toEqual([]);
});

test("a process that is killed while it writes leaves no object, and the next large one sweeps what it left", async () => {
  const root = await newRoot();
  const hang = `const upload = await store.beginUpload("killed/upload", { ifAbsent: true });
    await upload.part(0, Buffer.alloc(1024 * 1024, 1));
    for (;;) await store.put("killed/put" + Math.random(), Buffer.alloc(5_000_000, 1), { ifAbsent: true })`;
  const child = spawn(process.execPath, [...script(hang), root], { stdio: ["ignore", "ignore", "inherit"] });
  await until(async () => (await readdir(join(root, "killed")).catch(() => [])).length > 3, "objects of the process");
  child.kill("SIGKILL");
  await once(child, "exit");
  const store = new FileStore(root, { create: true });
  for await (const { key, size } of store.list("killed/")) {
    expect(key).toMatch(/^killed\/put/);
    expect(size, "an object is whole or not there").toBe(5_000_000);
  }
  expect((await unfinished(root)).length).toBeGreaterThanOrEqual(1);
  const upload = await store.beginUpload("next", { ifAbsent: true });
  expect(await unfinished(root)).toHaveLength(1);
  await upload.part(0, pattern(10));
  await upload.complete();
  expect(await unfinished(root)).toEqual([]);
  expect(await store.get("next")).toHaveLength(10);
});

test("a sweep leaves alone what living processes and other machines write, until it is a week old", async () => {
  const root = await newRoot();
  const first = new FileStore(root, { create: true });
  const alive = await first.beginUpload("alive", { ifAbsent: true });
  await alive.part(0, pattern(5));
  const [mine = ""] = await unfinished(root);
  const foreign = mine.replace(/^[^.]*\.[^.]*/, "0123456789abcdef-4026531836.999999");
  await writeFile(join(root, ".tmp", `${foreign}-new`), "");
  await writeFile(join(root, ".tmp", `${foreign}-old`), "");
  const days = (count: number): Date => new Date(Date.now() - count * 24 * 3600 * 1000);
  await utimes(join(root, ".tmp", `${foreign}-new`), days(6), days(6));
  await utimes(join(root, ".tmp", `${foreign}-old`), days(8), days(8));
  const other = await new FileStore(root, { create: true }).beginUpload("other", { ifAbsent: true });
  expect(await unfinished(root)).toContain(mine);
  expect(await unfinished(root)).toContain(`${foreign}-new`);
  expect(await unfinished(root)).not.toContain(`${foreign}-old`);
  await other.abort();
  await alive.complete();
  expect(await first.get("alive")).toHaveLength(5);
});

test("nothing unfinished is ever listed as an object or a folder", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  const upload = await store.beginUpload("a/b", { ifAbsent: true });
  await upload.part(0, pattern(100));
  expect(await unfinished(root)).toHaveLength(1);
  expect(await keys(store, "")).toEqual([]);
  expect(await store.listFolders("")).toEqual([]);
  await upload.abort();
  expect(await unfinished(root)).toEqual([]);
});

test("a failed write leaves nothing behind", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  await writeFile(join(root, "file"), "");
  const below = store.put("file/below", pattern(10), { ifAbsent: true });
  await expect(below).rejects.toMatchObject({ name: "PgarkError", code: "io" });
  const upload = await store.beginUpload("file/below/too", { ifAbsent: true });
  await expect(upload.complete()).rejects.toMatchObject({ code: "io" });
  expect(await unfinished(root)).toEqual([]);
  expect(await keys(store, "")).toEqual(["file"]);
});

test.each(["", "/absolute", "a//b", "../outside", "a/../../b", "a/.", "trailing/"])(
  "refuses the key %j, which could lead out of the root or to a folder",
  async (key) => {
    const store = new FileStore(await newRoot(), { create: true });
    expect(await codeOf(store.put(key, pattern(1), { ifAbsent: true }))).toBe("usage");
    expect(await codeOf(store.get(key))).toBe("usage");
    expect(await codeOf(store.head(key))).toBe("usage");
    expect(await codeOf(store.beginUpload(key, { ifAbsent: true }))).toBe("usage");
  },
);

test("what may not be read or written is denied, with a hint, and never taken for missing", async (context) => {
  if (process.getuid?.() === 0) return context.skip("root may read and write everything");
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  await store.put("closed/object", pattern(1), { ifAbsent: true });
  await chmod(join(root, "closed"), 0);
  try {
    const denied = { code: "denied", hint: "check owner and permissions, and which user runs pgark" };
    await expect(store.get("closed/object")).rejects.toMatchObject(denied);
    await expect(store.get("closed/missing")).rejects.toMatchObject(denied);
    await expect(store.head("closed/object")).rejects.toMatchObject(denied);
    await expect(store.put("closed/other", pattern(1), { ifAbsent: true })).rejects.toMatchObject(denied);
    await expect(keys(store, "")).rejects.toMatchObject(denied);
    await expect(store.listFolders("closed/")).rejects.toMatchObject(denied);
    await expect(store.delete(["closed/object"])).rejects.toMatchObject(denied);
  } finally {
    await chmod(join(root, "closed"), 0o750);
  }
  expect(await unfinished(root)).toEqual([]);
});

test.each([
  ["ENOSPC", "io", "io", /file system is full/],
  ["EDQUOT", "io", "io", /quota/],
  ["EROFS", "io", "io", /read-only/],
  ["EACCES", "denied", "denied", /permissions/],
  ["EPERM", "denied", "denied", /permissions/],
  ["EIO", "unavailable", "unavailable", /check the mount/],
  ["ESTALE", "unavailable", "unavailable", /check the mount/],
  ["ENOTCONN", "unavailable", "unavailable", /check the mount/],
  ["ENOENT", "not-found", "unavailable", /check the mount/],
  ["ENOTDIR", "not-found", "io", /^none$/],
  ["EEXIST", "io", "exists", /^none$/],
] as const)("%s is %s while reading and %s while writing, and the hint helps", (errno, reading, writing, hint) => {
  const cause = Object.assign(new Error(`${errno}: it failed`), { code: errno });
  expect(translateFileError("read object", "key", cause, true)).toMatchObject({ code: reading, cause, object: "key" });
  const error = translateFileError("write object", "key", cause, false);
  expect(error).toMatchObject({ code: writing, cause, operation: "write object" });
  expect((error as { hint?: string }).hint ?? "none").toMatch(hint);
});

test("folders that were moved elsewhere and linked are read, listed and written like any other", async () => {
  const root = await newRoot();
  const elsewhere = await newRoot();
  await mkdir(join(elsewhere, "wal"));
  await symlink(join(elsewhere, "wal"), join(root, "wal"));
  await symlink(join(elsewhere, "nowhere"), join(root, "dangling"));
  const store = new FileStore(root, { create: true });
  await store.put("wal/object", pattern(9), { ifAbsent: true });
  expect(await keys(store, "")).toEqual(["wal/object"]);
  expect(await store.listFolders("")).toEqual(["wal/"]);
  expect((await stat(join(elsewhere, "wal/object"))).size).toBe(9);
});

test("an object appears although its folder is taken away again and again by somebody who deletes", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  const other = new FileStore(root, { create: true });
  const stop = new AbortController();
  const deleting = (async () => {
    while (!stop.signal.aborted) await other.delete(["a/b/c/gone"]);
  })();
  for (let round = 0; round < 100; round++) {
    await store.put(`a/b/c/${round}`, pattern(1), { ifAbsent: true });
    await store.delete([`a/b/c/${round}`]);
  }
  await store.put("a/b/c/last", pattern(2), { ifAbsent: true });
  stop.abort();
  await deleting;
  expect(await keys(store, "")).toEqual(["a/b/c/last"]);
});

test("an object that is replaced is never seen in part by those who read it meanwhile", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  const reader = new FileStore(root, { create: true });
  await store.put("object", Buffer.alloc(100_000, 0), { ifAbsent: true });
  for (let round = 1; round <= 20; round++) {
    const [, bytes] = await Promise.all([
      store.put("object", Buffer.alloc(100_000 + round, round), { ifAbsent: false }),
      reader.get("object"),
    ]);
    expect(new Set(bytes).size).toBe(1);
    expect(bytes).toHaveLength(100_000 + (bytes[0] ?? 0));
  }
});

test("bytes that were added to an object's file by others are in it: nothing is cached", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  await store.put("object", pattern(10), { ifAbsent: true });
  await appendFile(join(root, "object"), "more");
  expect((await store.head("object")).size).toBe(14);
});

test("what a process that is gone left unfinished is told of and can be removed; what is being written is neither", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  const upload = await store.beginUpload("object", { ifAbsent: true });
  const crash = `const upload = await store.beginUpload("other", { ifAbsent: true }); process.kill(process.pid, "SIGKILL");`;
  await run(process.execPath, [...script(crash), root]).catch(() => undefined);

  const found: Leftover[] = [];
  for await (const leftover of store.leftovers.list()) found.push(leftover);
  expect(found).toHaveLength(1);
  for (const leftover of [...found, ...found]) await store.leftovers.remove(leftover);

  expect(await unfinished(root)).toHaveLength(1);
  await upload.complete();
  expect(await keys(store, "")).toEqual(["object"]);
});

test("a deletion that is refused keeps nothing else from being deleted, and tells which object it was", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  for (const key of ["a/1", "locked/2", "b/3"]) await store.put(key, pattern(1), { ifAbsent: true });
  await chmod(join(root, "locked"), 0o500);

  const error: unknown = await store.delete(["a/1", "locked/2", "b/3"]).catch((reason: unknown) => reason);

  expect(error).toMatchObject({ code: "denied", object: "locked/2" });
  expect(undeletedOf(error)?.map(({ key }) => key)).toEqual(["locked/2"]);
  expect(await keys(store, "")).toEqual(["locked/2"]);
  await chmod(join(root, "locked"), 0o700);
});

test("a lazy list has the same keys in the same order; details are looked up when they are asked for", async () => {
  const root = await newRoot();
  const store = new FileStore(root, { create: true });
  for (const key of ["a.b", "a/1", "a/2", "a/b/3", "a0", "b/ä"]) await store.put(key, pattern(7), { ifAbsent: true });
  for (const [prefix, startAfter] of [
    ["", undefined],
    ["a/", "a/1"],
    ["a", "a/"],
    ["b/", undefined],
  ] as const) {
    const eager: string[] = [];
    for await (const { key } of store.list(prefix, { startAfter })) eager.push(key);
    const lazy: ListedObject[] = [];
    for await (const listed of listLazily(store, prefix, { startAfter })) lazy.push(listed);
    expect(lazy.map(({ key }) => key)).toEqual(eager);
    expect(lazy.map(({ info }) => info()?.size)).toEqual(eager.map(() => 7));
  }
  for await (const { key, info } of listLazily(store, "a/1", {})) {
    await store.delete([key]);
    expect(info()).toBeUndefined();
  }
  expect(await keys(store, "a/1")).toEqual([]);
});
