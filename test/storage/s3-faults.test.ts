import { beforeAll, beforeEach, expect, test } from "vitest";
import { freePorts } from "../helpers/ports.ts";
import { openS3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import { undeletedOf } from "../../src/storage/undeleted.ts";
import { errorAnswer, type Fault } from "../helpers/fault-proxy.ts";
import { describeWith } from "../helpers/requirements.ts";
import { any, type FaultyS3, isDelete, isGet, isHead, isPut, startFaultyS3 } from "./s3-behind-proxy.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };
const silence = { silenceMs: 300 };

describeWith(["radosgw"], "the S3 driver, when requests fail", () => {
  let s3: FaultyS3;

  beforeAll(async () => {
    s3 = await startFaultyS3();
  });

  beforeEach(() => {
    s3.proxy.reset();
  });

  const slowDown = errorAnswer(503, "SlowDown");
  const storms: readonly (readonly [string, Fault])[] = [
    ["503 SlowDown", slowDown],
    ["a 503 without a word", { kind: "answer", status: 503 }],
    ["429", { kind: "answer", status: 429 }],
    ["500 InternalError", errorAnswer(500, "InternalError")],
    ["502 from a gateway", { kind: "answer", status: 502, body: "<html>Bad Gateway</html>" }],
    ["408 RequestTimeout", errorAnswer(400, "RequestTimeout")],
    ["409 ConditionalRequestConflict", errorAnswer(409, "ConditionalRequestConflict")],
    ["a reset before anything was said", { kind: "refuse" }],
    ["a reset in the request", { kind: "reset-request", afterBytes: 100_000 }],
  ];

  test.each(storms)("gets over a storm of %s", async (_name, fault) => {
    const { store, pauses } = s3.open();
    s3.proxy.add({ matches: any, fault, times: 5 });
    await store.put("object", pattern(1_000_000), ifAbsent);
    expect(pauses).toHaveLength(5);
    expect(Buffer.compare(await store.get("object"), pattern(1_000_000))).toBe(0);
    s3.proxy.add({ matches: any, fault, times: 5 });
    expect(await keys(store, "")).toEqual(["object"]);
    s3.proxy.add({ matches: any, fault, times: 5 });
    await store.delete(["object"]);
    expect(pauses).toHaveLength(15);
    expect(await keys(store, "")).toEqual([]);
  });

  test.each([
    ["throttled", slowDown],
    ["unavailable", errorAnswer(500, "InternalError")],
    ["unavailable", { kind: "refuse" }],
  ] as const)("gives up after so many attempts, and says %s", async (code, fault) => {
    const { store, pauses } = s3.open({ tuning: { attempts: 4 } });
    s3.proxy.add({ matches: any, fault });
    expect(await codeOf(store.put("object", pattern(10), ifAbsent))).toBe(code);
    expect(s3.proxy.requests).toHaveLength(4);
    expect(pauses).toHaveLength(3);
    expect(await codeOf(store.get("object"))).toBe(code);
    expect(await codeOf(store.head("object"))).toBe(code);
    expect(await codeOf(store.delete(["object"]))).toBe(code);
    expect(await codeOf(keys(store, ""))).toBe(code);
    expect(s3.proxy.requests).toHaveLength(20);
  });

  test("waits twice as long after each failure, longer when told to slow down, and never longer than the limit", async () => {
    const delays = { firstDelayMs: 100, throttledDelayMs: 1000, maxDelayMs: 3000, attempts: 6, random: () => 0.5 };
    const broken = s3.open({ tuning: delays });
    s3.proxy.add({ matches: any, fault: errorAnswer(500, "InternalError") });
    expect(await codeOf(broken.store.get("object"))).toBe("unavailable");
    expect(broken.pauses).toEqual([75, 150, 300, 600, 1200]);
    s3.proxy.reset();
    s3.proxy.add({ matches: any, fault: slowDown });
    const throttled = s3.open({ tuning: delays });
    expect(await codeOf(throttled.store.get("object"))).toBe("throttled");
    expect(throttled.pauses).toEqual([750, 1500, 3000, 3000, 3000]);
  });

  test.each([
    ["seconds", () => "7", 7000, 7000],
    ["a date", () => new Date(Date.now() + 20_000).toUTCString(), 15_000, 20_000],
    ["more than it is worth", () => "86400", 60_000, 60_000],
    ["less than a pause is anyway", () => "0", 500, 500],
    ["nonsense", () => "soon", 500, 500],
  ])("honours a Retry-After of %s", async (_what, value, least, most) => {
    const { store, pauses } = s3.open();
    s3.proxy.add({ matches: any, fault: errorAnswer(503, "SlowDown", "", { "Retry-After": value() }), times: 1 });
    await store.put("object", pattern(1), ifAbsent);
    expect(pauses).toHaveLength(1);
    expect(pauses[0]).toBeGreaterThanOrEqual(least);
    expect(pauses[0]).toBeLessThanOrEqual(most);
  });

  test("gets over a server that was down and came back", async () => {
    let waited = 0;
    const sleep = async (): Promise<void> => {
      if (++waited === 2) await s3.proxy.listen();
    };
    const { store } = s3.open({ tuning: { sleep } });
    await s3.proxy.stopListening();
    await store.put("object", pattern(10), ifAbsent);
    expect(waited).toBe(2);
    expect(await store.get("object")).toHaveLength(10);
  });

  test("says what to look at when nobody answers at all", async () => {
    const [port = 0] = await freePorts(1);
    const store = openS3Store(
      `s3://bucket/?endpoint=http://127.0.0.1:${port}`,
      {},
      { attempts: 2, sleep: async () => {} },
    );
    await expect(store.get("object")).rejects.toMatchObject({
      code: "unavailable",
      hint: expect.stringContaining("check its name") as string,
    });
    const unknown = openS3Store("s3://bucket/?endpoint=http://no-such-host.invalid", {}, { attempts: 1 });
    await expect(unknown.get("object")).rejects.toMatchObject({
      code: "unavailable",
      hint: expect.stringContaining("DNS") as string,
    });
  });

  test("notices a server that says nothing, and asks again", async () => {
    const { store, pauses } = s3.open({ tuning: silence });
    s3.proxy.add({ matches: isPut, fault: { kind: "hang" }, times: 1 });
    await store.put("object", pattern(1_000_000), ifAbsent);
    s3.proxy.add({ matches: isGet, fault: { kind: "hang" }, times: 1 });
    expect(await store.get("object")).toHaveLength(1_000_000);
    s3.proxy.add({ matches: any, fault: { kind: "hang" }, times: 1 });
    expect(await keys(store, "")).toEqual(["object"]);
    expect(s3.proxy.tally.hang).toBe(3);
    expect(pauses.length).toBeGreaterThanOrEqual(3);
  });

  test("ends a request at its time limit though the connection still moves", async () => {
    const { store } = s3.open({ tuning: { requestMs: 300, silenceMs: 10_000, attempts: 1 } });
    s3.proxy.add({ matches: isPut, fault: { kind: "throttle", rate: 500_000 } });
    expect(await codeOf(store.put("object", pattern(20_000_000), ifAbsent))).toBe("unavailable");
  });

  test("leaves a slow connection alone as long as it moves", async () => {
    const { store } = s3.open({ tuning: { silenceMs: 2000, attempts: 1 } });
    s3.proxy.add({ matches: any, fault: { kind: "throttle", rate: 8_000_000 } });
    await store.put("object", pattern(24_000_000), ifAbsent);
    expect((await store.head("object")).size).toBe(24_000_000);
  });

  const brokenBodies: readonly Fault[] = [
    { kind: "truncate-answer", afterBytes: 300_000 },
    { kind: "reset-answer", afterBytes: 300_000 },
    { kind: "stall-answer", afterBytes: 300_000 },
    { kind: "truncate-answer", afterBytes: 0 },
  ];

  test.each(brokenBodies)(
    "reads an object whole although its body broke off: $kind after $afterBytes",
    async (fault) => {
      const { store, pauses } = s3.open({ tuning: silence });
      await store.put("object", pattern(1_000_000), ifAbsent);
      s3.proxy.add({ matches: isGet, fault, times: 2 });
      expect(Buffer.compare(await store.get("object"), pattern(1_000_000))).toBe(0);
      s3.proxy.add({ matches: isGet, fault, times: 2 });
      const range = { offset: 100_000, length: 500_000 };
      expect(Buffer.compare(await store.get("object", { range }), pattern(1_000_000).subarray(100_000, 600_000))).toBe(
        0,
      );
      expect(s3.proxy.tally[fault.kind]).toBe(4);
      expect(pauses.length).toBeGreaterThanOrEqual(4);
    },
  );

  test("gives up on a body that breaks every time", async () => {
    const { store } = s3.open({ tuning: { attempts: 3 } });
    await store.put("object", pattern(1_000_000), ifAbsent);
    s3.proxy.add({ matches: isGet, fault: { kind: "truncate-answer", afterBytes: 999_999 } });
    await expect(store.get("object")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("the answer broke off") as string,
    });
    expect(s3.proxy.tally["truncate-answer"]).toBe(3);
  });

  test("reads a body whose length was not announced, and refuses a whole one in place of a range", async () => {
    const { store } = s3.open();
    await store.put("object", pattern(1000), ifAbsent);
    const body = "0123456789";
    const headers = { "Transfer-Encoding": "chunked" };
    s3.proxy.add({ matches: isGet, fault: { kind: "answer", status: 200, headers, body }, times: 1 });
    expect(Buffer.from(await store.get("object")).toString()).toBe(body);
    s3.proxy.add({ matches: isGet, fault: { kind: "answer", status: 200, body }, times: 1 });
    expect(await codeOf(store.get("object", { range: { offset: 2, length: 3 } }))).toBe("refused");
  });

  test("knows its own write when the answer to it was lost", async () => {
    const { store } = s3.open();
    s3.proxy.add({ matches: isPut, fault: { kind: "lose-answer" }, times: 2 });
    await store.put("object", pattern(5), ifAbsent);
    expect(s3.proxy.tally["lose-answer"]).toBe(2);
    expect(await store.get("object")).toHaveLength(5);
  });

  test("does not take another's write for its own, though it is the same bytes and its own answer was lost", async () => {
    const { store } = s3.open();
    const rival = openS3Store(`${store.url}?endpoint=${s3.server.endpoint}`, {});
    s3.proxy.add({
      matches: isPut,
      fault: { kind: "refuse" },
      before: () => rival.put("object", pattern(5), ifAbsent),
      times: 1,
    });
    expect(await codeOf(store.put("object", pattern(5), ifAbsent))).toBe("exists");
    expect(s3.proxy.requests.filter(isHead)).toHaveLength(1);
    await rival.close();
  });

  test("deletes what is left when the answer said inside that some objects were not deleted", async () => {
    const { store, prefix } = s3.open();
    await store.put("a", pattern(1), ifAbsent);
    await store.put("b", pattern(1), ifAbsent);
    const inner = (code: string): Fault => ({
      kind: "answer",
      status: 200,
      body: `<DeleteResult><Error><Key>${prefix}a</Key><Code>${code}</Code><Message>not now</Message></Error></DeleteResult>`,
    });
    for (const code of ["InternalError", "SlowDown"]) s3.proxy.add({ matches: isDelete, fault: inner(code), times: 1 });
    s3.proxy.add({ matches: isDelete, fault: errorAnswer(200, "InternalError"), times: 1 });
    await store.delete(["a", "b"]);
    expect(s3.proxy.requests.filter(isDelete)).toHaveLength(4);
    expect(await keys(store, "")).toEqual([]);
    s3.proxy.add({ matches: isDelete, fault: inner("AccessDenied"), times: 1 });
    const error: unknown = await store.delete(["a", "b"]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "denied", hint: expect.stringContaining("permission") as string });
    expect(undeletedOf(error)?.map(({ key }) => key)).toEqual(["a"]);
    expect(s3.proxy.requests.filter(isDelete)).toHaveLength(5);
  });

  test.each([errorAnswer(404, "NoSuchKey"), errorAnswer(501, "NotImplemented")])(
    "says what to set when the store does not know conditional writes",
    async (fault) => {
      const { store, pauses } = s3.open();
      s3.proxy.add({ matches: isPut, fault });
      await expect(store.put("object", pattern(1), ifAbsent)).rejects.toMatchObject({
        code: "usage",
        hint: expect.stringContaining("conditional-create") as string,
      });
      expect(pauses).toEqual([]);
    },
  );

  test("does not take any 404 for a missing object, only the store's own word", async () => {
    const { store } = s3.open({ tuning: { attempts: 2 } });
    s3.proxy.add({ matches: any, fault: { kind: "answer", status: 404, body: "default backend - 404" } });
    await expect(store.get("object")).rejects.toMatchObject({
      code: "unavailable",
      hint: expect.stringContaining("not an S3 store's") as string,
    });
    expect(await codeOf(store.head("object"))).toBe("unavailable");
    expect(await codeOf(keys(store, ""))).toBe("unavailable");
  });

  test("stops at once when told to, be it in a request or in a pause", async () => {
    const stopAt = async (fault: Fault, matches: typeof isPut): Promise<string> => {
      const stop = new AbortController();
      const { store } = s3.open();
      await store.put("there", pattern(1_000_000), ifAbsent);
      s3.proxy.add({ matches, fault, before: async () => stop.abort() });
      const { signal } = stop;
      const put = (): Promise<unknown> => store.put("object", pattern(10), { ifAbsent: true, signal });
      const code = await codeOf(matches === isPut ? put() : store.get("there", { signal }));
      s3.proxy.reset();
      return code;
    };
    expect(await stopAt({ kind: "hang" }, isPut)).toBe("aborted");
    expect(await stopAt({ kind: "hang" }, isGet)).toBe("aborted");
    expect(await stopAt(slowDown, isGet)).toBe("aborted");
    const stop = new AbortController();
    const sleep = async (_milliseconds: number, signal: AbortSignal | undefined): Promise<void> => {
      stop.abort();
      signal?.throwIfAborted();
    };
    const { store } = s3.open({ tuning: { sleep } });
    s3.proxy.add({ matches: any, fault: slowDown });
    expect(await codeOf(store.get("object", { signal: stop.signal }))).toBe("aborted");
    expect(s3.proxy.requests).toHaveLength(1);
  });

  test("asks for no 100-continue and keeps its connections", async () => {
    const { store } = s3.open();
    for (const name of ["a", "b", "c"]) await store.put(name, pattern(3_000_000), ifAbsent);
    expect(s3.proxy.requests.map(({ headers }) => headers["expect"])).toEqual([undefined, undefined, undefined]);
    expect(new Set(s3.proxy.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
  });
});
