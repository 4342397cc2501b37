import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PgarkError } from "../../src/errors.ts";
import type { Log } from "../../src/log.ts";
import { homeOf, writePostmaster } from "../spool/spool-fixture.ts";
import { PushStage, segment, stopped } from "./push-stage.ts";

const [A, B, C, D, E] = [1, 2, 3, 4, 5].map(segment) as [string, string, string, string, string];

describe("a failure", () => {
  test("is told for its file alone, and nothing is begun after it; what is under way is finished", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B, C, D);
    await stage.ask(A);
    const pushing = stage.start({ inFlight: 3 });
    const [a, b, c] = [await pushing.storing(A), await pushing.storing(B), await pushing.storing(C)];
    c.succeed();
    await stage.untilAcknowledged(C);
    const d = await pushing.storing(D);
    await stage.ready(E);
    a.fail(new Error("the disk is full"));
    await stage.untilFailed(A);
    b.succeed();
    d.succeed();
    expect(await pushing.end).toBe("failed");
    expect(await readFile(stage.spool("failed", A), "utf8")).toBe("told: the disk is full\n");
    expect(await stage.list("failed")).toEqual([A]);
    expect(await stage.list("done")).toEqual([B, C, D]);
    expect(await stage.list("asked")).toEqual([]);
    expect(pushing.begun.toSorted()).toEqual([A, B, C, D]);
  });

  test("of an earlier process is its own affair", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const first = stage.start();
    (await first.storing(A)).fail();
    expect(await first.end).toBe("failed");
    const second = stage.start();
    const store = await second.storing(A);
    expect(await stage.list("failed")).toEqual([]);
    store.succeed();
    await stage.untilAcknowledged(A);
  });

  test("of two files is told for both", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    const pushing = stage.start({ inFlight: 2 });
    const [a, b] = [await pushing.storing(A), await pushing.storing(B)];
    b.fail();
    await stage.untilFailed(B);
    a.fail();
    expect(await pushing.end).toBe("failed");
    expect(await stage.list("failed")).toEqual([A, B]);
  });

  test("is none when PostgreSQL had the file archived and took it away meanwhile", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    const pushing = stage.start();
    const store = await pushing.storing(A);
    await stage.archived(A);
    await stage.remove(A);
    store.fail(new Error("ENOENT"));
    (await pushing.storing(B)).succeed();
    await stage.untilAcknowledged(B);
    expect(await stage.list("failed")).toEqual([]);
  });

  test("is one when somebody waits for the file", async () => {
    await using stage = await PushStage.open();
    await stage.ask(A);
    const pushing = stage.start();
    expect(await pushing.end).toBe("failed");
    expect(await stage.list("failed")).toEqual([A]);
    expect(await stage.list("asked")).toEqual([]);
  });

  test("is none when pgark is stopped", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    const warned: string[] = [];
    const log: Log = { debug() {}, info() {}, warn: (message) => warned.push(message) };
    const pushing = stage.start({ log });
    const store = await pushing.storing(A);
    pushing.abort();
    store.fail(stopped());
    expect(await pushing.end).toBe("stopped");
    expect(await stage.list("failed")).toEqual([]);
    expect(warned).toEqual([]);
    expect(pushing.begun).toEqual([A]);
  });
});

describe("archiving ahead ends", () => {
  test("when there was nothing to do for long enough", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const pushing = stage.start({ lingerMs: 60_000 });
    await stage.ask(A);
    const store = await pushing.storing(A);
    await stage.pass(100_000);
    store.succeed();
    await stage.untilAcknowledged(A);
    await stage.pass(59_000);
    await stage.ready(B);
    (await pushing.storing(B)).succeed();
    await stage.untilAcknowledged(B);
    expect(await stage.untilOver(pushing)).toBe("idle");
  });

  test("when PostgreSQL takes nothing of what is done any more, though more is ready", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const pushing = stage.start({ lingerMs: 60_000 });
    (await pushing.storing(A)).succeed();
    await stage.untilAcknowledged(A);
    await stage.pass(61_000);
    await stage.ready(B);
    expect(await stage.untilOver(pushing)).toBe("idle");
    expect(await stage.list("done")).toEqual([A]);
  });

  test.each([
    ["another process has taken over", (stage: PushStage) => writeFile(join(homeOf(stage.options), "pid"), "1\n")],
    ["the session was given up", (stage: PushStage) => rm(join(homeOf(stage.options), "words"))],
    ["PostgreSQL was started anew", (stage: PushStage) => writePostmaster(stage.options.pgdata, "1763632801")],
    ["PostgreSQL was stopped", (stage: PushStage) => rm(join(stage.options.pgdata, "postmaster.pid"))],
    ["the spool is gone", (stage: PushStage) => rm(stage.options.spool, { recursive: true })],
  ])("when %s", async (_what, change) => {
    await using stage = await PushStage.open();
    await stage.ready(A, B);
    const pushing = stage.start();
    const store = await pushing.storing(A);
    await change(stage);
    await stage.pass(1000);
    store.succeed();
    expect(await pushing.end).toBe("superseded");
    expect(pushing.begun).toEqual([A]);
  });

  test("when the program or its configuration has changed; then nothing that it did counts any more", async () => {
    await using stage = await PushStage.open();
    let unchanged = true;
    const pushing = stage.start({ unchanged: async () => unchanged });
    await stage.pass(1000);
    unchanged = false;
    await stage.pass(1000);
    expect(await pushing.end).toBe("superseded");
    expect(existsSync(join(homeOf(stage.options), "words"))).toBe(false);
  });

  test("when it is stopped before it began", async () => {
    await using stage = await PushStage.open();
    await stage.ready(A);
    const pushing = stage.start({ signal: AbortSignal.abort() });
    expect(await pushing.end).toBe("stopped");
    expect(pushing.begun).toEqual([]);
  });

  test("with an error when it cannot see what is to be archived", async () => {
    await using stage = await PushStage.open();
    const pushing = stage.start();
    await rm(join(stage.options.pgdata, "pg_wal"), { recursive: true });
    await expect(pushing.end).rejects.toMatchObject({ code: "io" });
    await expect(pushing.end).rejects.toBeInstanceOf(PgarkError);
  });
});
