import { ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { openS3Store, type S3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import type { Leftover, Upload } from "../../src/storage/object-store.ts";
import { errorAnswer, type Fault } from "../helpers/fault-proxy.ts";
import { describeWith } from "../helpers/requirements.ts";
import { type FaultyS3, isBegin, isComplete, isPart, startFaultyS3 } from "./s3-behind-proxy.ts";
import { codeOf, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
const partSize = 8 * 1024 * 1024;
const body = pattern(partSize + 1000);

describeWith(["radosgw"], "the S3 driver's large objects", () => {
  let s3: FaultyS3;

  beforeAll(async () => {
    s3 = await startFaultyS3();
  });

  beforeEach(() => {
    s3.proxy.reset();
  });

  async function dangling(prefix: string): Promise<number> {
    const answer = await s3.raw.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: prefix }));
    return (answer.Uploads ?? []).length;
  }

  async function sendBoth(upload: Upload): Promise<void> {
    await Promise.all([upload.part(0, body.subarray(0, partSize)), upload.part(1, body.subarray(partSize))]);
  }

  async function write(store: S3Store): Promise<void> {
    const upload = await store.beginUpload("large", ifAbsent);
    try {
      await sendBoth(upload);
      await upload.complete();
    } catch (error) {
      await upload.abort();
      throw error;
    }
  }

  async function isWhole(store: S3Store): Promise<boolean> {
    return Buffer.compare(await store.get("large"), body) === 0;
  }

  const once: readonly (readonly [string, typeof isPart, Fault])[] = [
    ["reset in mid-part", isPart, { kind: "reset-request", afterBytes: 500 }],
    ["part whose answer was lost", isPart, { kind: "lose-answer" }],
    ["part that was not wanted just now", isPart, errorAnswer(503, "SlowDown")],
    ["part that arrived broken", isPart, errorAnswer(400, "BadDigest")],
    ["completion with an error inside its 200", isComplete, errorAnswer(200, "InternalError")],
    ["completion whose 200 has nothing inside", isComplete, { kind: "answer", status: 200 }],
    ["completion whose answer was lost", isComplete, { kind: "lose-answer" }],
    ["completion whose answer breaks off", isComplete, { kind: "reset-answer", afterBytes: 10 }],
    ["beginning whose answer was lost", isBegin, { kind: "lose-answer" }],
    ["beginning that was refused", isBegin, { kind: "refuse" }],
  ];

  test.each(once)("are whole after a %s, and nothing dangles", async (_what, matches, fault) => {
    const { store, prefix, pauses } = s3.open();
    s3.proxy.add({ matches, fault, times: 2 });
    await write(store);
    expect(s3.proxy.tally[fault.kind]).toBe(2);
    expect(pauses.length).toBeGreaterThanOrEqual(2);
    expect(await isWhole(store)).toBe(true);
    expect(await dangling(prefix)).toBe(0);
  });

  test.each(once)("fail after a %s that happens for ever, and nothing dangles", async (_what, matches, fault) => {
    const { store, prefix } = s3.open({ tuning: { attempts: 3 } });
    s3.proxy.add({ matches, fault });
    expect(["unavailable", "throttled"]).toContain(await codeOf(write(store)));
    // What the store has completed stays so, whether or not anybody hears of it.
    const completed = matches === isComplete && ["lose-answer", "reset-answer"].includes(fault.kind);
    s3.proxy.reset();
    expect(await codeOf(store.head("large"))).toBe(completed ? "done" : "not-found");
    expect(await dangling(prefix)).toBe(0);
  });

  test("knows its own completion when the second try finds the upload gone", async () => {
    const { store } = s3.open();
    s3.proxy.add({ matches: isComplete, fault: { kind: "lose-answer" }, times: 1 });
    s3.proxy.add({ matches: isComplete, fault: errorAnswer(404, "NoSuchUpload"), times: 1 });
    await write(store);
    expect(s3.proxy.requests.filter(isComplete)).toHaveLength(2);
    expect(await isWhole(store)).toBe(true);
  });

  test("say exists when another writer had the name before the second try to complete", async () => {
    const { store } = s3.open();
    const rival = openS3Store(`${store.url}?endpoint=${s3.server.endpoint}`, {});
    s3.proxy.add({
      matches: isComplete,
      fault: errorAnswer(412, "PreconditionFailed"),
      before: () => rival.put("large", body, ifAbsent),
    });
    expect(await codeOf(write(store))).toBe("exists");
    expect(await isWhole(rival)).toBe(true);
    await rival.close();
  });

  test("say exists when the name is taken, by whichever writer, before they are complete", async () => {
    const { store, prefix } = s3.open();
    const upload = await store.beginUpload("large", ifAbsent);
    await sendBoth(upload);
    await store.put("large", pattern(3), ifAbsent);
    expect(await codeOf(upload.complete())).toBe("exists");
    await upload.abort();
    expect(await store.get("large")).toHaveLength(3);
    expect(await dangling(prefix)).toBe(0);
  });

  test("say so when somebody aborted the upload", async () => {
    const { store } = s3.open();
    s3.proxy.add({ matches: isComplete, fault: errorAnswer(404, "NoSuchUpload") });
    await expect(write(store)).rejects.toMatchObject({
      code: "refused",
      hint: expect.stringContaining("lifecycle rule") as string,
    });
    expect(s3.proxy.requests.filter(isComplete)).toHaveLength(1);
  });

  test("stop in mid-part when told to, and when aborted, and leave nothing", async () => {
    const stop = new AbortController();
    const { store, prefix } = s3.open();
    const stopped = await store.beginUpload("large", { ifAbsent: true, signal: stop.signal });
    s3.proxy.add({ matches: isPart, fault: { kind: "hang" }, before: async () => stop.abort() });
    expect(await codeOf(stopped.part(0, body.subarray(0, partSize)))).toBe("aborted");
    await stopped.abort();
    expect(await dangling(prefix)).toBe(0);

    const aborted = await store.beginUpload("large", ifAbsent);
    s3.proxy.reset();
    const reached = new Promise<void>((resolve) => {
      s3.proxy.add({ matches: isPart, fault: { kind: "hang" }, before: async () => resolve() });
    });
    const part = codeOf(aborted.part(0, body.subarray(0, partSize)));
    await reached;
    await aborted.abort();
    expect(await part).toBe("aborted");
    expect(await dangling(prefix)).toBe(0);
    expect(await codeOf(aborted.complete())).toBe("aborted");
    expect(await codeOf(aborted.part(1, body.subarray(partSize)))).toBe("aborted");
  });

  test("that were left by a writer who is gone are found and can be removed", async () => {
    const { store } = s3.open();
    const neighbour = s3.open().store;
    for (const [owner, key] of [
      [neighbour, "large"],
      [store, "a/large"],
      [store, "b/large"],
    ] as const) {
      await (await owner.beginUpload(key, ifAbsent)).part(0, body.subarray(0, partSize));
    }
    const found = async (prefix: string): Promise<readonly Leftover[]> => {
      const leftovers: Leftover[] = [];
      for await (const leftover of store.leftovers.list(prefix)) leftovers.push(leftover);
      return leftovers;
    };
    const all = await found("");
    expect(all.map(({ key }) => key)).toEqual(["a/large", "b/large"]);
    expect(Math.abs(Date.now() - (all[0]?.modified.getTime() ?? 0))).toBeLessThan(120_000);
    const [first] = await found("a/");
    for (const leftover of first === undefined ? [] : [first, first]) await store.leftovers.remove(leftover);
    expect((await found("")).map(({ key }) => key)).toEqual(["b/large"]);
  });

  test("of less than a part do not appear after they were aborted", async () => {
    const { store } = s3.open();
    const upload = await store.beginUpload("small", ifAbsent);
    await upload.part(0, pattern(10));
    await upload.abort();
    expect(await codeOf(upload.complete())).toBe("aborted");
    expect(await codeOf(store.head("small"))).toBe("not-found");
  });

  test("are looked up before the write where the store does not keep conditions", async () => {
    const { store } = s3.open({ settings: "conditional-create=no" });
    expect(store.capabilities.conditionalCreate).toBe(false);
    await store.put("large", pattern(3), ifAbsent);
    expect(s3.proxy.requests.some(({ headers }) => headers["if-none-match"] !== undefined)).toBe(false);
    expect(await codeOf(store.put("large", pattern(4), ifAbsent))).toBe("exists");
    expect(await codeOf(store.beginUpload("large", ifAbsent))).toBe("exists");
    await store.put("large", pattern(5), { ifAbsent: false });
    expect(await store.get("large")).toHaveLength(5);
    await store.delete(["large"]);
    await write(store);
    expect(await isWhole(store)).toBe(true);
    expect(s3.proxy.requests.some(({ headers }) => headers["if-none-match"] !== undefined)).toBe(false);
  });
});
