import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { silentLog } from "../../src/log.ts";
import { Heartbeat } from "../../src/repository/heartbeat.ts";
import { decodeRecord } from "../../src/repository/records.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";

const minute = 60_000;
const store = new MemoryStore(() => new Date());
let lost = 0;

beforeEach(() => {
  vi.useFakeTimers();
  lost = 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function begin(): Heartbeat {
  return new Heartbeat({
    store,
    folder: "alive/",
    host: "db1",
    everyMs: 5 * minute,
    silenceMs: 60 * minute,
    onLost: () => void lost++,
    now: () => new Date(),
    log: silentLog,
  });
}

async function keys(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key } of store.list("")) found.push(key);
  return found;
}

test("gives a sign every so often, each an object of its own that takes the place of the last, and leaves none", async () => {
  const heartbeat = begin();
  expect(await keys()).toEqual([]);
  await vi.advanceTimersByTimeAsync(5 * minute);
  expect(await keys()).toEqual(["alive/000001.json"]);
  expect(decodeRecord("sign", await store.get("alive/000001.json")).string("host")).toBe("db1");
  await vi.advanceTimersByTimeAsync(10 * minute);
  expect(await keys()).toEqual(["alive/000003.json"]);
  await heartbeat.stop();
  await vi.advanceTimersByTimeAsync(10 * minute);
  expect(await keys()).toEqual([]);
  expect(heartbeat.isLost).toBe(false);
});

test("a store that fails for a while costs some signs; after too long it is lost for good, and says so once", async () => {
  const heartbeat = begin();
  vi.spyOn(store, "put").mockRejectedValue(new Error("no route to host"));
  await vi.advanceTimersByTimeAsync(59 * minute);
  expect({ lost, isLost: heartbeat.isLost }).toEqual({ lost: 0, isLost: false });
  await vi.advanceTimersByTimeAsync(minute);
  expect({ lost, isLost: heartbeat.isLost }).toEqual({ lost: 1, isLost: true });
  vi.restoreAllMocks();
  await vi.advanceTimersByTimeAsync(20 * minute);
  expect({ lost, isLost: heartbeat.isLost, keys: await keys() }).toEqual({ lost: 1, isLost: true, keys: [] });
  await heartbeat.stop();
});

test("a machine that slept for too long finds it lost, although its timers begin to run again", async () => {
  const heartbeat = begin();
  vi.setSystemTime(Date.now() + 61 * minute);
  await vi.advanceTimersByTimeAsync(5 * minute);
  expect({ lost, isLost: heartbeat.isLost, keys: await keys() }).toEqual({ lost: 1, isLost: true, keys: [] });
  await heartbeat.stop();
});

test("a sign that may not be deleted stays, and nothing else happens", async () => {
  const remove = vi.spyOn(store, "delete").mockRejectedValue(new Error("AccessDenied"));
  const heartbeat = begin();
  await vi.advanceTimersByTimeAsync(10 * minute);
  await heartbeat.stop();
  expect(await keys()).toEqual(["alive/000001.json", "alive/000002.json"]);
  expect(heartbeat.isLost).toBe(false);
  remove.mockRestore();
  await store.delete(await keys());
});
