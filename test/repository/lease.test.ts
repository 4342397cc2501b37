import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Log } from "../../src/log.ts";
import { silentLog } from "../../src/log.ts";
import { leaseHolder, takeLease } from "../../src/repository/lease.ts";
import type { Lease, LeaseOptions } from "../../src/repository/lease.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import type { PutOptions } from "../../src/storage/object-store.ts";
import { codeOf } from "../storage/store-probes.ts";

const minute = 60_000;
/** the store's clock, which is not the hosts' */
let storeNow: Date;
let store: MemoryStore;

beforeEach(() => {
  storeNow = new Date("2026-11-20T10:00:00Z");
  store = new MemoryStore(() => storeNow);
});

afterEach(() => {
  vi.useRealTimers();
});

function passTime(milliseconds: number): void {
  storeNow = new Date(storeNow.getTime() + milliseconds);
}

function take(host: string, changes: Partial<LeaseOptions> = {}): Promise<Lease> {
  return takeLease({
    store,
    cluster: "main",
    host,
    purpose: "prune",
    now: () => new Date(),
    log: silentLog,
    ...changes,
  });
}

async function keys(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key } of store.list("")) found.push(key);
  return found;
}

test("only one has it at a time; the other is told who", async () => {
  const lease = await take("db1");
  await lease.check({});
  await expect(take("db2")).rejects.toMatchObject({
    code: "refused",
    message: expect.stringMatching(/prune on db1 since 20/) as string,
  });
  await lease.check({});
  expect(await leaseHolder(store, "main", {})).toMatch(/^prune on db1/);

  await lease.release();
  expect(await keys()).toEqual([]);
  const next = await take("db2");
  await next.check({});
  await next.release();
});

test("of many that want it at once one gets it, and what they leave is its record alone", async () => {
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.allSettled(Array.from({ length: 8 }, (_, host) => take(`db${host}`)));
    const held = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    expect(held.length).toBeLessThanOrEqual(1);
    expect(await keys()).toHaveLength(held.length);
    for (const lease of held) {
      await lease.check({});
      await lease.release();
    }
  }
});

test.each(["1999-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])(
  "it is taken over from a dead holder by the store's clock, be it %s on the host",
  async (hostTime) => {
    const now = (): Date => new Date(hostTime);
    const dead = await take("db1", { now });
    passTime(4 * minute);
    expect(await codeOf(take("db2", { now }))).toBe("refused");
    passTime(2 * minute);
    const warnings: string[] = [];
    const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
    const lease = await take("db2", { now, log });
    expect(warnings).toEqual(["took over the lease of a run that gave no sign of life since 2026-11-20T10:00:00.000Z"]);
    await lease.check({});
    await expect(dead.check({})).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining("taken it over") as string,
    });
    await lease.check({});
    await lease.release();
    expect(await keys()).toEqual([]);

    const next = await take("db3", { now });
    await dead.release();
    await next.check({});
    await next.release();
  },
);

test("a holder that works for long keeps it by its signs of life, of which one at a time is there", async () => {
  vi.useFakeTimers();
  const lease = await take("db1");
  for (let half = 0; half < 40; half++) {
    passTime(minute / 2);
    await vi.advanceTimersByTimeAsync(minute / 2);
    expect((await keys()).length).toBeLessThanOrEqual(2);
  }
  await lease.check({});
  expect(await codeOf(take("db2"))).toBe("refused");
  await lease.release();
  expect(await keys()).toEqual([]);
});

test("a holder that can give no sign of life gives up before others may take it", async () => {
  vi.useFakeTimers();
  const lease = await take("db1");
  const put = store.put.bind(store);
  store.put = () => Promise.reject(new Error("no route to host"));
  await vi.advanceTimersByTimeAsync(2 * minute);
  await lease.check({});
  await vi.advanceTimersByTimeAsync(minute);
  await expect(lease.check({})).rejects.toMatchObject({
    code: "refused",
    message: expect.stringContaining("no sign of life could be given") as string,
  });
  store.put = put;
  await vi.advanceTimersByTimeAsync(minute);
  expect(await codeOf(lease.check({}))).toBe("refused"); // for good
  await lease.release();
});

test("a machine that slept does not go on when it wakes up", async () => {
  vi.useFakeTimers();
  const lease = await take("db1");
  vi.setSystemTime(Date.now() + 10 * minute); // its timers did not run, nor did the clock that only goes on
  expect(await codeOf(lease.check({}))).toBe("refused");
  await lease.release();
});

test("where the store keeps no conditions, whoever finds another's word in its record gives up", async () => {
  const put = store.put.bind(store);
  store.put = (key, body, options: PutOptions) => put(key, body, { ...options, ifAbsent: false });
  const answers = await Promise.allSettled(["db1", "db2"].map((host) => take(host)));
  expect(answers.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  for (const answer of answers) {
    if (answer.status === "rejected") continue;
    await answer.value.check({});
    await answer.value.release();
  }
});
