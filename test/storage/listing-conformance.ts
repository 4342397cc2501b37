import { expect, test } from "vitest";
import { batches, byteOrder, ifAbsent, inOrder, keys, pattern, type StoreUnderTest } from "./store-probes.ts";

/** The part of the conformance suite about `list` and `listFolders`. */
export function describeListing(open: () => Promise<StoreUnderTest>): void {
  test("lists more than a thousand keys in byte order, and after any of them", async () => {
    const { store } = await open();
    const written = Array.from({ length: 1203 }, (_, index) => `list/${(index * 7919) % 1203}`);
    for (const batch of batches(written, 50))
      await Promise.all(batch.map((key) => store.put(key, pattern(3), ifAbsent)));
    const sorted = byteOrder(written);
    expect(await keys(store, "list/")).toEqual(sorted);
    for (const position of [0, 499, 999, 1000, 1001, 1201]) {
      expect(await keys(store, "list/", { startAfter: sorted[position] })).toEqual(sorted.slice(position + 1));
    }
    expect(await keys(store, "list/", { startAfter: sorted.at(-1) })).toEqual([]);
  });

  test("keeps byte order where folders and objects share the beginning of their names", async () => {
    const { store } = await open();
    const written = [
      "a",
      "a!b",
      "a-b/x",
      "a.b",
      "a.b/c",
      "b/c",
      "b/c.d/e",
      "b/c/d",
      "b0",
      "ab/x",
      "A/x",
      "é/x",
      "\u{fffd}",
      "😀",
    ];
    const possible = written.filter((key) => !["a", "a.b", "b/c"].includes(key)); // a file system has no file beside its folder
    for (const key of possible) await store.put(key, pattern(1), ifAbsent);
    const sorted = byteOrder(possible);
    expect(await keys(store, "")).toEqual(sorted);
    for (const [position, key] of sorted.entries()) {
      expect(await keys(store, "", { startAfter: key }), key).toEqual(sorted.slice(position + 1));
    }
    expect(await keys(store, "", { startAfter: "b/" })).toEqual(sorted.filter((key) => inOrder("b/", key)));
    expect(await keys(store, "", { startAfter: "b/zzz" })).toEqual(sorted.filter((key) => inOrder("b/zzz", key)));
  });

  test("tells sibling prefixes apart, and takes a prefix that ends within a name", async () => {
    const { store } = await open();
    for (const key of ["a/1", "a.b/1", "ab/1", "ab/12", "abc"]) await store.put(key, pattern(1), ifAbsent);
    expect(await keys(store, "a/")).toEqual(["a/1"]);
    expect(await keys(store, "ab/")).toEqual(["ab/1", "ab/12"]);
    expect(await keys(store, "ab/1")).toEqual(["ab/1", "ab/12"]);
    expect(await keys(store, "ab")).toEqual(["ab/1", "ab/12", "abc"]);
    expect(await keys(store, "missing/")).toEqual([]);
    expect(await keys(store, "abc/")).toEqual([]);
    expect(await store.listFolders("")).toEqual(["a.b/", "a/", "ab/"]);
    expect(await store.listFolders("a/")).toEqual([]);
    expect(await store.listFolders("missing/")).toEqual([]);
  });

  test("lists each folder once, whatever lies below it", async () => {
    const { store } = await open();
    for (const key of ["x/b/1", "x/b/2", "x/b/c/3", "x/a/1", "x/file", "y/1"])
      await store.put(key, pattern(1), ifAbsent);
    expect(await store.listFolders("x/")).toEqual(["x/a/", "x/b/"]);
    expect(await store.listFolders("")).toEqual(["x/", "y/"]);
    await store.delete(["x/b/1", "x/b/2", "x/b/c/3"]);
    expect(await store.listFolders("x/")).toEqual(["x/a/"]);
  });

  test("tells sizes and times in a list as head does", async () => {
    const { store } = await open();
    await store.put("a", pattern(7), ifAbsent);
    for await (const info of store.list("")) expect(info).toEqual(await store.head("a"));
    expect(await keys(store, "")).toEqual(["a"]);
  });
}
