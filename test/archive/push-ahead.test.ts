import { readdir, rename, stat, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { until } from "../helpers/processes.ts";
import { enter, homeOf } from "../spool/spool-fixture.ts";
import { PushStage, segment, stopped } from "./push-stage.ts";

const [A, B, C, D, E] = [1, 2, 3, 4, 5].map(segment) as [string, string, string, string, string];
const HISTORY = "00000002.history";

describe("the order of archiving ahead", () => {
  test("is timeline histories first, then names, as PostgreSQL will ask", async () => {
    await using stage = await PushStage.open();
    await stage.ready(C, A, HISTORY, B, `${A}.00000028.backup`);
    const pushing = stage.start();
    const order = [HISTORY, A, `${A}.00000028.backup`, B, C];
    for (const name of order) (await pushing.storing(name)).succeed();
    await stage.untilAcknowledged(...order);
    expect(pushing.begun).toEqual(order);
  });

  test("begins with what a front waits for", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B, C, D, HISTORY);
    await stage.ask(C);
    const pushing = stage.start();
    const first = await pushing.storing(C);
    await stage.ask(D);
    first.succeed();
    for (const name of [D, HISTORY, A, B]) (await pushing.storing(name)).succeed();
    await stage.untilAcknowledged(A, B, C, D, HISTORY);
    expect(pushing.begun).toEqual([C, D, HISTORY, A, B]);
    expect(await stage.list("asked")).toEqual([]);
  });

  test("passes over what is no WAL, and what PostgreSQL is done with", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    await stage.archived(A);
    for (const name of ["notes", `${A}.old`, segment(10).toLowerCase(), "000000000000000000000001"]) {
      await writeFile(stage.status(name, "ready"), "");
    }
    const pushing = stage.start();
    (await pushing.storing(B)).succeed();
    await stage.untilAcknowledged(B);
    expect(await stage.untilOver(pushing)).toBe("idle");
    expect(pushing.begun).toEqual([B]);
  });

  test("has no more under way than it may", async () => {
    await using stage = await PushStage.open();
    const names = Array.from({ length: 12 }, (_, index) => segment(index + 1));
    await stage.ready(...names);
    const pushing = stage.start({ inFlight: 3 });
    for (const [index, name] of names.entries()) {
      await until(() => pushing.begun.length >= Math.min(index + 3, names.length), "the lanes to be full");
      (await pushing.storing(name)).succeed();
    }
    await stage.untilAcknowledged(...names);
    expect(pushing.most()).toBe(3);
    expect(pushing.begun.toSorted()).toEqual(names);
  });

  test("goes on with what becomes ready meanwhile", async () => {
    await using stage = await PushStage.open();
    const pushing = stage.start({ inFlight: 2 });
    await stage.ready(A);
    (await pushing.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    await stage.ready(B);
    (await pushing.storing(B)).succeed();
    await stage.untilAcknowledged(B);
    expect(pushing.begun).toEqual([A, B]);
  });

  test("ends a thousand files ahead of PostgreSQL, but not for those that it asks for", async () => {
    await using stage = await PushStage.open();
    const names = Array.from({ length: 1030 }, (_, index) => segment(index + 1));
    for (const name of names) await writeFile(stage.status(name, "ready"), "");
    for (const name of names) await stage.write(name);
    const begun: string[] = [];
    stage.start({ inFlight: 16, store: async (path) => void begun.push(path) });
    await until(async () => (await stage.list("done")).length >= 1000, "a thousand acknowledgements");
    const last = names.at(-1) ?? "";
    await stage.ask(last);
    await stage.untilAcknowledged(last);
    // Those that were under way when the thousandth was done.
    expect(begun.length).toBeLessThanOrEqual(1000 + 16);
    expect(await stage.list("done")).not.toContain(names.at(-2));
  });
});

describe("an acknowledgement", () => {
  test("comes after the file was stored, has its time, and answers the question", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    await stage.ask(A);
    const pushing = stage.start({ inFlight: 2 });
    const store = await pushing.storing(A);
    // B was begun later, and is done with already.
    (await pushing.storing(B)).succeed();
    await stage.untilAcknowledged(B);
    expect(await stage.list("done")).toEqual([B]);
    expect(await stage.list("asked")).toEqual([A]);
    store.succeed();
    await stage.untilAcknowledged(A);
    await stage.untilAnswered();
    const [done, file] = await Promise.all([stat(stage.spool("done", A)), stat(stage.wal(A))]);
    expect(done.size).toBe(0);
    expect(done.mtimeMs - file.mtimeMs).toBeGreaterThanOrEqual(0);
    expect(done.mtimeMs - file.mtimeMs).toBeLessThan(5);
  });

  test("is for a file that is asked for by hand, too", async () => {
    await using stage = await PushStage.open();
    await stage.write(A);
    await stage.ask(A);
    const pushing = stage.start();
    (await pushing.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    expect(await stage.list("failed")).toEqual([]);
  });

  test("stands when it is asked for once more, without another store", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const pushing = stage.start();
    (await pushing.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    await stage.ask(A);
    await stage.untilAnswered();
    expect(await stage.acknowledged()).toEqual([A]);
    expect(pushing.begun).toEqual([A]);
  });

  test("is given anew for a file that was written anew", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const pushing = stage.start();
    (await pushing.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    await stage.write(A, "other");
    expect(await stage.acknowledged()).toEqual([]);
    await stage.ask(A);
    const store = await pushing.storing(A);
    expect(store.content).toBe("other");
    store.succeed();
    await stage.untilAcknowledged(A);
  });

  test("is not given for a file that was another one before the end of its store, which is tried again", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const pushing = stage.start();
    const first = await pushing.storing(A);
    await stage.write(A, "other");
    first.succeed();
    const second = await pushing.storing(A);
    expect(second.content).toBe("other");
    expect(await stage.list("done")).toEqual([]);
    second.succeed();
    await stage.untilAcknowledged(A);
    expect(pushing.begun).toEqual([A, A]);
  });

  test("is not given for a file that PostgreSQL recycled meanwhile", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    const pushing = stage.start({ inFlight: 2 });
    const [first, second] = [await pushing.storing(A), await pushing.storing(B)];
    await stage.archived(A);
    await rename(stage.wal(A), stage.wal(E));
    first.succeed();
    second.succeed();
    await stage.untilAcknowledged(B);
    expect(await stage.untilOver(pushing)).toBe("idle");
    expect(await stage.list("done")).toEqual([B]);
    expect(await stage.list("failed")).toEqual([]);
  });

  test("of an earlier process of the session stands, and is not worked for again", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    const first = stage.start();
    (await first.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    first.abort();
    (await first.storing(B)).fail(stopped());
    expect(await first.end).toBe("stopped");
    const second = stage.start();
    (await second.storing(B)).succeed();
    await stage.untilAcknowledged(A, B);
    expect(second.begun).toEqual([B]);
  });

  test("of an earlier process is made sure of when it is asked for in spite of it", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    await writeFile(stage.spool("done", A), "");
    await stage.write(A, "other");
    await stage.ask(A);
    const pushing = stage.start();
    (await pushing.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    await stage.untilAnswered();
    expect(pushing.begun).toEqual([A]);
  });

  test("goes when PostgreSQL has taken it, and who asked by hand has had time to see it", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B, C);
    await writeFile(stage.spool("done", C), "");
    const pushing = stage.start({ lingerMs: 3_600_000 });
    for (const name of [A, B]) (await pushing.storing(name)).succeed();
    await stage.untilAcknowledged(A, B);
    await stage.archived(A);
    await stage.archived(C);
    await stage.pass(5000);
    await stage.pass(15_000);
    await until(async () => (await stage.list("done")).length === 1, "old acknowledgements to go");
    expect(await stage.list("done")).toEqual([B]);
  });
});

test("a file that is stored late, for other words, is not acknowledged for the new ones", async () => {
  await using stage = await PushStage.open();
  await stage.ready(A, B, C);
  const before = stage.start({ inFlight: 2 });
  const [a, b] = [await before.storing(A), await before.storing(B)];
  await stage.session.leave();
  stage.session = await enter({ ...stage.options, words: "other" }, stage.clock.now());
  const now = stage.start({ inFlight: 3 });
  const stores = [await now.storing(A), await now.storing(B), await now.storing(C)];
  // Whatever its own process does: to store, or to fail.
  a.succeed();
  b.fail();
  expect(await before.end).toBe("superseded");
  expect(await stage.list("done")).toEqual([]);
  expect(await stage.list("failed")).toEqual([]);
  for (const store of stores) store.succeed();
  await stage.untilAcknowledged(A, B, C);
  expect(await readdir(homeOf(stage.options))).toHaveLength(3);
});
