import { describe, expect, test } from "vitest";
import { describeListing } from "./listing-conformance.ts";
import { codeOf, ifAbsent, keys, pattern, same, sendPart, type StoreUnderTest } from "./store-probes.ts";

const strangeKeys = [
  "with space",
  "a+b",
  "a&b=c",
  "100%",
  "%2e%2e",
  "tilde~",
  "(x)'!*",
  "comma,semi;",
  "dots..",
  "ü/日本",
];

/** What the comment above `ObjectStore` promises, held against a driver. `open` gives a new and empty store each time. */
export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as an object store`, () => {
    describeObjects(open);
    describeConditionalCreate(open);
    describeListing(open);
    describeUploads(open);
    describeAborting(open);
  });
}

function describeObjects(open: () => Promise<StoreUnderTest>): void {
  test.each([0, 1, 2, 65_536, 3_000_001])("gives back %i bytes as they were, with size and time", async (size) => {
    const { store, second } = await open();
    const body = pattern(size);
    await store.put("folder/object", body, ifAbsent);
    expect(same(await second.get("folder/object"), body)).toBe(true);
    const info = await second.head("folder/object");
    expect(info).toMatchObject({ key: "folder/object", size });
    expect(Number.isNaN(info.modified.getTime())).toBe(false);
  });

  test.each([
    ["the first byte", 0, 1, 0, 1],
    ["bytes in the middle", 300, 100, 300, 400],
    ["the last byte", 999, 1, 999, 1000],
    ["all of it", 0, 1000, 0, 1000],
    ["what there is of a range over the end", 990, 100, 990, 1000],
    ["nothing at the end", 1000, 10, 0, 0],
    ["nothing past the end", 5000, 10, 0, 0],
    ["nothing for no length", 10, 0, 0, 0],
  ])("reads %s", async (_what, offset, length, from, to) => {
    const { store } = await open();
    const body = pattern(1000);
    await store.put("object", body, ifAbsent);
    expect([...(await store.get("object", { range: { offset, length } }))]).toEqual([...body.subarray(from, to)]);
  });

  test("gives back a range, whether or not it reads it into the memory that is offered", async () => {
    const { store } = await open();
    const body = pattern(1000);
    await store.put("object", body, ifAbsent);
    const into = Buffer.from(new SharedArrayBuffer(400), 100, 200);
    const range = { offset: 900, length: 200 };
    expect(same(await store.get("object", { range, into }), body.subarray(900))).toBe(true);
    const inside = await store.get("object", { range: { offset: 10, length: 200 }, into });
    expect(same(inside, body.subarray(10, 210))).toBe(true);
    const memory = Buffer.from(into.buffer);
    expect([...memory.subarray(0, 100), ...memory.subarray(300)].every((byte) => byte === 0)).toBe(true);
  });

  test("reads nothing from any range of an empty object", async () => {
    const { store } = await open();
    await store.put("object", new Uint8Array(), ifAbsent);
    expect(await store.get("object", { range: { offset: 0, length: 10 } })).toHaveLength(0);
    expect(await store.get("object", { range: { offset: 10, length: 10 } })).toHaveLength(0);
  });

  test("keeps what was put, whatever becomes of the caller's buffer and of what was read", async () => {
    const { store } = await open();
    const body = pattern(100);
    await store.put("object", body, ifAbsent);
    body.fill(0);
    (await store.get("object")).fill(0);
    expect(same(await store.get("object"), pattern(100))).toBe(true);
  });

  test.each(strangeKeys)("takes the key %s as it is", async (part) => {
    const { store, second } = await open();
    const key = `folder/${part}/${part}`;
    await store.put(key, pattern(10), ifAbsent);
    await store.put(`folder/${part}/other`, pattern(20), ifAbsent);
    expect(await second.get(key)).toHaveLength(10);
    expect((await second.head(key)).key).toBe(key);
    expect((await keys(second, `folder/${part}/`)).toSorted()).toEqual([key, `folder/${part}/other`].toSorted());
    expect(await keys(second, `folder/${part}/${part}`)).toEqual([key]);
    await second.delete([key]);
    expect(await codeOf(store.get(key))).toBe("not-found");
    expect(await keys(store, "folder/")).toEqual([`folder/${part}/other`]);
  });

  test("says not-found for what is not there, be it a folder or below an object", async () => {
    const { store } = await open();
    await store.put("folder/object", pattern(1), ifAbsent);
    for (const key of ["missing", "folder", "folder/missing", "folder/object/below", "missing/too"]) {
      expect(await codeOf(store.get(key)), key).toBe("not-found");
      expect(await codeOf(store.get(key, { range: { offset: 0, length: 1 } })), key).toBe("not-found");
      expect(await codeOf(store.head(key)), key).toBe("not-found");
    }
  });

  test("sees a write, a replacement and a deletion at once, from every client", async () => {
    const { store, second } = await open();
    for (let round = 0; round < 5; round++) {
      await store.put("a/object", pattern(round + 1), { ifAbsent: false });
      expect(await second.get("a/object")).toHaveLength(round + 1);
      expect((await second.head("a/object")).size).toBe(round + 1);
      expect(await keys(second, "a/")).toEqual(["a/object"]);
    }
    await second.delete(["a/object"]);
    expect(await codeOf(store.head("a/object"))).toBe("not-found");
    expect(await keys(store, "")).toEqual([]);
    await store.put("a/object", pattern(3), ifAbsent);
    expect(await second.get("a/object")).toHaveLength(3);
  });

  test("deletes many objects and does not mind those that are not there", async () => {
    const { store } = await open();
    await store.put("a/1", pattern(1), ifAbsent);
    await store.put("a/2", pattern(1), ifAbsent);
    await store.put("b", pattern(1), ifAbsent);
    await store.delete(["a/1", "missing", "a/missing", "a", "b/below", "a/2"]);
    expect(await keys(store, "")).toEqual(["b"]);
    await store.delete([]);
    expect(await keys(store, "")).toEqual(["b"]);
  });
}

function describeConditionalCreate(open: () => Promise<StoreUnderTest>): void {
  test("creates only: a key that is taken keeps what it has", async () => {
    const { store, second } = await open();
    await store.put("object", pattern(5), ifAbsent);
    expect(await codeOf(second.put("object", pattern(6), ifAbsent))).toBe("exists");
    const upload = await second.beginUpload("object", ifAbsent);
    await upload.part(0, pattern(7));
    expect(await codeOf(upload.complete())).toBe("exists");
    await upload.abort();
    expect(await store.get("object")).toHaveLength(5);
    expect(await keys(store, "")).toEqual(["object"]);
  });

  test("lets exactly one of sixteen concurrent puts of a key win", async () => {
    const { store, second } = await open();
    const bodies = Array.from({ length: 16 }, (_, index) => pattern(1000 + index));
    const outcomes = await Promise.all(
      bodies.map((body, index) => codeOf((index % 2 === 0 ? store : second).put("a/b/object", body, ifAbsent))),
    );
    expect(outcomes.filter((outcome) => outcome === "exists")).toHaveLength(15);
    const winner = outcomes.indexOf("done");
    expect(await store.get("a/b/object")).toHaveLength(1000 + winner);
  });

  test("lets exactly one of sixteen concurrent uploads of a key win", async () => {
    const { store, second } = await open();
    const uploads = await Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        const upload = await (index % 2 === 0 ? store : second).beginUpload("a/b/object", ifAbsent);
        await upload.part(0, pattern(1000 + index));
        return upload;
      }),
    );
    const outcomes = await Promise.all(uploads.map((upload) => codeOf(upload.complete())));
    await Promise.all(uploads.map((upload) => upload.abort()));
    expect(outcomes.filter((outcome) => outcome === "exists")).toHaveLength(15);
    expect(await store.get("a/b/object")).toHaveLength(1000 + outcomes.indexOf("done"));
    expect(await keys(store, "")).toEqual(["a/b/object"]);
  });
}

function describeUploads(open: () => Promise<StoreUnderTest>): void {
  test("puts parts together in their order, in whatever order and however concurrently they were sent", async () => {
    const { store } = await open();
    const { partSize } = store.capabilities;
    const body = pattern(3 * partSize + 17);
    const upload = await store.beginUpload("large", ifAbsent);
    await sendPart(upload, body, partSize, 2);
    await Promise.all([3, 0, 1].map((index) => sendPart(upload, body, partSize, index)));
    expect(await codeOf(store.head("large"))).toBe("not-found");
    expect(await keys(store, "")).toEqual([]);
    await upload.complete();
    expect(same(await store.get("large"), body)).toBe(true);
    const range = { offset: partSize - 5, length: 10 };
    expect(same(await store.get("large", { range }), body.subarray(range.offset, range.offset + 10))).toBe(true);
  });

  test("lets the caller reuse a part's buffer once it was sent", async () => {
    const { store } = await open();
    const { partSize } = store.capabilities;
    const buffer = new Uint8Array(partSize).fill(1);
    const upload = await store.beginUpload("large", ifAbsent);
    await upload.part(0, buffer);
    buffer.fill(2);
    await upload.part(1, buffer);
    buffer.fill(3);
    await upload.complete();
    const stored = await store.get("large");
    expect([stored.length, stored[0], stored[partSize - 1], stored[partSize], stored.at(-1)]).toEqual([
      2 * partSize,
      1,
      1,
      2,
      2,
    ]);
  });

  test("leaves nothing of an upload that was aborted, and abort can be called again and after all else", async () => {
    const { store } = await open();
    const upload = await store.beginUpload("folder/large", ifAbsent);
    await upload.part(0, pattern(store.capabilities.partSize));
    await upload.abort();
    await upload.abort();
    expect(await keys(store, "")).toEqual([]);
    expect(await codeOf(upload.complete())).not.toBe("done");
    expect(await codeOf(store.head("folder/large"))).toBe("not-found");
    await store.put("folder/large", pattern(1), ifAbsent);
    await upload.abort();
    expect(await store.get("folder/large")).toHaveLength(1);
  });

  test("does not harm an object when its own finished upload is aborted", async () => {
    const { store } = await open();
    const upload = await store.beginUpload("large", ifAbsent);
    await upload.part(0, pattern(10));
    await upload.complete();
    await upload.abort();
    expect(await store.get("large")).toHaveLength(10);
  });
}

function describeAborting(open: () => Promise<StoreUnderTest>): void {
  test("does nothing once the signal has fired", async () => {
    const { store } = await open();
    await store.put("there", pattern(1), ifAbsent);
    const signal = AbortSignal.abort();
    expect(await codeOf(store.put("object", pattern(1), { ifAbsent: true, signal }))).toBe("aborted");
    expect(await codeOf(store.beginUpload("object", { ifAbsent: true, signal }))).toBe("aborted");
    expect(await codeOf(store.get("there", { signal }))).toBe("aborted");
    expect(await codeOf(store.head("there", { signal }))).toBe("aborted");
    expect(await codeOf(keys(store, "", { signal }))).toBe("aborted");
    expect(await codeOf(store.listFolders("", { signal }))).toBe("aborted");
    expect(await codeOf(store.delete(["there"], { signal }))).toBe("aborted");
    expect(await keys(store, "")).toEqual(["there"]);
  });

  test("neither sends nor completes an upload whose signal has fired", async () => {
    const { store } = await open();
    const stop = new AbortController();
    const upload = await store.beginUpload("object", { ifAbsent: true, signal: stop.signal });
    await upload.part(0, pattern(store.capabilities.partSize));
    stop.abort();
    expect(await codeOf(upload.part(1, pattern(1)))).toBe("aborted");
    expect(await codeOf(upload.complete())).toBe("aborted");
    await upload.abort();
    expect(await keys(store, "")).toEqual([]);
  });
}
