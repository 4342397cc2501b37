import type * as FileSystem from "node:fs/promises";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { FileStore } from "../../src/storage/drivers/file/file-store.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

/** What was done to the file system, in order: "sync <path>" and "link <path>". */
const calls = vi.hoisted(() => [] as string[]);

// What a machine that loses its power keeps cannot be tried; what is asked of the kernel, and when, can be seen.
vi.mock("node:fs/promises", async (importOriginal) => {
  const original = await importOriginal<typeof FileSystem>();
  return {
    ...original,
    open: async (name: string, ...rest: [string | number, number?]) => {
      const handle = await original.open(name, ...rest);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        await sync();
        calls.push(`sync ${name}`);
      };
      return handle;
    },
    link: async (from: string, to: string) => {
      await original.link(from, to);
      calls.push(`link ${to}`);
    },
  };
});

beforeEach(() => {
  calls.length = 0;
});

const body = Buffer.from("content");

test("an object's content is synced before it has its name, and every directory up to the root after", async () => {
  await using directory = await temporaryDirectory();
  const root = join(directory.path, "repository");
  const store = new FileStore(root, { create: true });

  await store.put("main/17-1/wal/segment", body, { ifAbsent: true });

  const linked = calls.indexOf(`link ${join(root, "main/17-1/wal/segment")}`);
  expect(calls.slice(0, linked).some((call) => call.startsWith(`sync ${join(root, ".tmp")}/`))).toBe(true);
  const after = calls.slice(linked + 1);
  for (const folder of ["main/17-1/wal", "main/17-1", "main", ""]) {
    expect(after).toContain(`sync ${join(root, folder)}`.replace(/\/$/, ""));
  }
});

test("a large object is synced in the same order", async () => {
  await using directory = await temporaryDirectory();
  const store = new FileStore(directory.path, { create: true });

  const upload = await store.beginUpload("packs/one", { ifAbsent: true });
  await upload.part(0, body);
  await upload.complete();

  const linked = calls.indexOf(`link ${join(directory.path, "packs/one")}`);
  expect(calls.slice(0, linked).some((call) => call.startsWith(`sync ${join(directory.path, ".tmp")}/`))).toBe(true);
  expect(calls.slice(linked + 1)).toEqual(expect.arrayContaining([`sync ${join(directory.path, "packs")}`]));
});

test("whoever is told that an object exists may rely on it: its directories are synced before the answer", async () => {
  await using directory = await temporaryDirectory();
  await new FileStore(directory.path, { create: true }).put("main/wal/segment", body, { ifAbsent: true });
  calls.length = 0;

  // Another process: it cannot know whether the first one came to its end.
  const store = new FileStore(directory.path, { create: true });
  await expect(store.put("main/wal/segment", body, { ifAbsent: true })).rejects.toMatchObject({ code: "exists" });

  expect(directorySyncs()).toEqual(allUpTo(directory.path, "main/wal", "main", ""));
});

test("of a folder that it has synced itself, a process syncs only what is in it, also when an object exists", async () => {
  await using directory = await temporaryDirectory();
  const store = new FileStore(directory.path, { create: true });
  await store.put("main/wal/1", body, { ifAbsent: true });
  calls.length = 0;

  await store.put("main/wal/2", body, { ifAbsent: true });
  await expect(store.put("main/wal/1", body, { ifAbsent: true })).rejects.toMatchObject({ code: "exists" });
  expect(directorySyncs()).toEqual(allUpTo(directory.path, "main/wal", "main/wal"));
});

test("a folder that others made under a known name is synced up to the root again", async () => {
  await using directory = await temporaryDirectory();
  const store = new FileStore(directory.path, { create: true });
  await store.put("main/wal/1", body, { ifAbsent: true });
  await rm(join(directory.path, "main"), { recursive: true });
  await mkdir(join(directory.path, "main/wal"), { recursive: true });
  calls.length = 0;

  await store.put("main/wal/2", body, { ifAbsent: true });
  expect(directorySyncs()).toEqual(allUpTo(directory.path, "main/wal", "main", ""));
});

/** The syncs but those of unfinished files. */
function directorySyncs(): readonly string[] {
  return calls.filter((call) => call.startsWith("sync ") && !call.includes("/.tmp/"));
}

function allUpTo(root: string, ...folders: readonly string[]): readonly string[] {
  return folders.map((folder) => `sync ${join(root, folder)}`.replace(/\/$/, ""));
}
test("what is deleted is gone for good: the directory that is left is synced after", async () => {
  await using directory = await temporaryDirectory();
  const store = new FileStore(directory.path, { create: true });
  await store.put("main/backups/one/backup.json", body, { ifAbsent: true });
  await store.put("main/backups/one/manifest", body, { ifAbsent: true });
  await store.put("main/wal/segment", body, { ifAbsent: true });
  calls.length = 0;

  await store.delete(["main/backups/one/backup.json"]);
  expect(calls).toEqual([`sync ${join(directory.path, "main/backups/one")}`]);
  calls.length = 0;

  await store.delete(["main/backups/one/manifest", "main/wal/segment"]);
  expect(calls).toEqual([`sync ${join(directory.path, "main")}`, `sync ${directory.path}`]);
});
