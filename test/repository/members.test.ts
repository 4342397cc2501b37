import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { RepositoryMember, settleQuorum } from "../../src/repository/members.ts";
import type { Repository } from "../../src/repository/repository.ts";

test("a repository is opened once, and once more after a failure, whoever asks at the same time", async () => {
  let opened = 0;
  const member = new RepositoryMember("memory:", async () => {
    await turn();
    if (++opened === 1) throw new Error("no");
    return {} as Repository;
  });
  expect((await Promise.allSettled([member.open(), member.open(), member.open()])).map(({ status }) => status)).toEqual(
    ["rejected", "rejected", "rejected"],
  );
  expect(opened).toBe(1);
  await Promise.all([member.open(), member.open()]);
  await member.open();
  expect(opened).toBe(2);
});

test("works that fail after the quorum has settled are nobody's unhandled rejection", async () => {
  const late = Promise.withResolvers<string>();
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  const results = await settleQuorum([late.promise, Promise.resolve("a")], 1, 0);
  late.reject(new Error("late"));
  await turn();
  await turn();
  process.off("unhandledRejection", onUnhandled);
  expect(results).toEqual([undefined, { status: "fulfilled", value: "a" }]);
  expect(unhandled).toEqual([]);
});

test("where the quorum is not met, all are waited for", async () => {
  const late = Promise.withResolvers<string>();
  let settled = false;
  const settling = settleQuorum([Promise.reject(new Error("no")), Promise.resolve("a"), late.promise], 2, 0).then(
    (all) => {
      settled = true;
      return all;
    },
  );
  await turn();
  expect(settled).toBe(false);
  late.resolve("b");
  expect((await settling).map((result) => result?.status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
});
