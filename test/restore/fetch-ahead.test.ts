import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { until } from "../helpers/processes.ts";
import { enter, homeOf, writePostmaster } from "../spool/spool-fixture.ts";
import { contentOf, FetchStage, segment, SEGMENT_SIZE } from "./fetch-stage.ts";

/** Segments of timeline 1, from the one that recovery asked for last. */
const at = (...numbers: readonly number[]): readonly string[] => numbers.map((number) => segment(number));
const [ONE, TWO, THREE, FOUR, FIVE] = at(1, 2, 3, 4, 5) as [string, string, string, string, string];

describe("what is fetched ahead", () => {
  test("is what fits behind the segment that recovery asked for last, and no more", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: 3.9 * SEGMENT_SIZE, after: ONE });
    await fetching.deliver(TWO, THREE, FOUR);
    await stage.untilOffered(TWO, THREE, FOUR);
    expect(await stage.take(TWO)).toBe(contentOf(TWO));
    await fetching.deliver(FIVE);
    await stage.untilOffered(THREE, FOUR, FIVE);
    expect(fetching.begun).toEqual(at(2, 3, 4, 5));
  });

  test("is nothing where no segment fits, but what is asked for is brought", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: SEGMENT_SIZE - 1 });
    await stage.ask(TWO);
    await fetching.deliver(TWO);
    expect(await stage.untilAnswered(TWO)).toBe("there");
    await stage.take(TWO);
    await stage.ask(THREE);
    await fetching.deliver(THREE);
    expect(await stage.untilAnswered(THREE)).toBe("there");
    expect(fetching.begun).toEqual([`${TWO}?`, `${THREE}?`]);
  });

  test("is begun with one, and then as many at once as there may be", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ inFlight: 3, most: 8 * SEGMENT_SIZE });
    const first = await fetching.loading(TWO);
    expect(fetching.begun).toEqual([TWO]);
    await first.succeed();
    await fetching.deliver(THREE);
    await until(() => fetching.pending.length === 3, "three loads at once");
    await fetching.deliver(...at(4, 5, 6, 7, 8, 9));
    await stage.untilOffered(...at(2, 3, 4, 5, 6, 7, 8, 9));
    expect(fetching.most).toEqual({ ofOne: 1, ofAll: 3 });
  });

  test("moves on with what recovery takes, also when several were taken between two looks", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: 3 * SEGMENT_SIZE });
    await fetching.deliver(TWO);
    await fetching.loading(THREE);
    await fetching.deliver(FOUR, THREE);
    await stage.untilOffered(TWO, THREE, FOUR);
    stage.takeAtOnce(TWO, THREE, FOUR);
    await fetching.deliver(FIVE, ...at(6, 7));
    await stage.untilOffered(...at(5, 6, 7));
    expect(fetching.begun.toSorted()).toEqual(at(2, 3, 4, 5, 6, 7));
  });

  test("leaves the way to what recovery waits for", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: SEGMENT_SIZE, inFlight: 4 });
    await fetching.deliver(TWO);
    await stage.untilOffered(TWO);
    await stage.ask(THREE);
    const load = await fetching.loading(THREE);
    for (let round = 0; round < 3; round++) {
      await stage.poke();
      await stage.breathe();
    }
    expect(fetching.begun).toEqual([TWO, `${THREE}?`]);
    await load.succeed();
    expect(await fetching.loading(FOUR)).toMatchObject({ asked: false });
  });

  test("is offered once all of it is there", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ inFlight: 1 });
    const load = await fetching.loading(TWO);
    expect(await stage.list("wal")).toEqual([]);
    await load.succeed();
    await stage.untilOffered(TWO);
    expect(await readFile(stage.spool("wal", TWO), "utf8")).toBe(contentOf(TWO));
  });

  test("goes when recovery is on another timeline, or elsewhere", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start();
    await fetching.deliver(TWO, THREE, FOUR, FIVE);
    await stage.untilOffered(TWO, THREE, FOUR, FIVE);
    const other = (number: number): string => segment(number, 2);
    await stage.ask(other(3));
    await fetching.deliver(other(3));
    await stage.untilOffered(other(3));
    await stage.take(other(3));
    await fetching.deliver(other(4), other(5), other(6), other(7));
    await stage.untilOffered(other(4), other(5), other(6), other(7));

    await stage.ask(other(6));
    expect(await stage.untilAnswered(other(6))).toBe("there");
    await stage.untilOffered(other(6), other(7));
    await fetching.deliver(other(8), other(9), other(10));
    await stage.ask(other(2));
    await fetching.deliver(other(2));
    await stage.untilOffered(other(2), other(6));
  });

  test("goes over the end of a log", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ after: "0000000100000000000000FE", most: 2 * SEGMENT_SIZE });
    await fetching.deliver("0000000100000000000000FF", "000000010000000100000000");
    await stage.untilOffered("0000000100000000000000FF", "000000010000000100000000");
    expect(fetching.begun).toHaveLength(2);
  });

  test("is a segment, never the history, or nothing, that recovery began with", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ after: "00000002.history" });
    await stage.ask(THREE);
    await fetching.deliver(THREE);
    await stage.untilOffered(THREE);
    expect(fetching.begun[0]).toBe(`${THREE}?`);
  });

  test("may have been fetched by an earlier process of the session", async () => {
    await using stage = await FetchStage.open();
    await mkdir(stage.spool("incoming-1"));
    await writeFile(stage.spool("incoming-1", FOUR), "half");
    for (const name of [TWO, THREE]) await writeFile(stage.spool("wal", name), contentOf(name));
    const fetching = stage.start();
    await fetching.deliver(FOUR, FIVE);
    await stage.untilOffered(TWO, THREE, FOUR, FIVE);
    expect(fetching.begun).toEqual([FOUR, FIVE]);
    expect(existsSync(stage.spool("incoming-1"))).toBe(false);
    expect(await readFile(stage.spool("wal", FOUR), "utf8")).toBe(contentOf(FOUR));
  });
});

describe("the end of the archive", () => {
  test("is tried one segment at a time, and only after recovery has moved", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ inFlight: 4, most: 8 * SEGMENT_SIZE });
    await fetching.deliver(TWO);
    for (const name of [THREE, FOUR]) await fetching.loading(name);
    (await fetching.loading(FOUR)).absent();
    await fetching.deliver(THREE);
    await stage.untilOffered(TWO, THREE);
    for (let round = 0; round < 3; round++) {
      await stage.poke();
      await stage.breathe();
    }
    expect(fetching.begun.toSorted()).toEqual([TWO, THREE, FOUR]);

    await stage.take(TWO);
    (await fetching.loading(FOUR)).absent();
    await stage.poke();
    await stage.breathe();
    expect(fetching.begun.toSorted()).toEqual([TWO, THREE, FOUR, FOUR]);
    await stage.take(THREE);
    // The archive has grown.
    await fetching.deliver(FOUR);
    await stage.untilOffered(FOUR);
  });

  test("is not passed by a question that is answered so", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ after: "00000001.history", inFlight: 4 });
    for (const number of [1, 2]) {
      await stage.ask(TWO, number);
      (await fetching.loading(TWO)).absent();
      expect(await stage.untilAnswered(TWO, number)).toBe("absent");
    }
    await stage.ask("00000002.history");
    (await fetching.loading("00000002.history")).absent();
    expect(await stage.untilAnswered("00000002.history")).toBe("absent");
    await until(async () => (await stage.list("asked")).length === 0, "the questions to go");
    for (let round = 0; round < 3; round++) {
      await stage.poke();
      await stage.breathe();
    }
    expect(fetching.begun).toEqual([`${TWO}?`, `${TWO}?`, "00000002.history?"]);
  });

  test("may be a failure, which is told to nobody until it is asked for", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start();
    (await fetching.loading(TWO)).fail();
    for (let round = 0; round < 3; round++) {
      await stage.poke();
      await stage.breathe();
    }
    expect(fetching.begun).toEqual([TWO]);
    expect(fetching.warnings).toEqual([]);
    await stage.ask(TWO);
    (await fetching.loading(TWO)).fail();
    expect(await stage.untilAnswered(TWO)).toBe("declined");
    expect(fetching.warnings).toHaveLength(1);
  });
});

describe("fetching ahead ends", () => {
  test("when recovery has asked for nothing for long enough, and leaves nothing", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start();
    await fetching.deliver(TWO, THREE, FOUR, FIVE);
    await stage.untilOffered(TWO, THREE, FOUR, FIVE);
    await stage.pass(50_000);
    await stage.take(TWO);
    await fetching.loading(segment(6));
    await stage.pass(59_000);
    await stage.ask(THREE);
    await until(async () => (await stage.list("asked")).length === 0, "the question to go");
    await stage.pass(59_000);
    await fetching.deliver(...at(6, 7));
    expect(await stage.untilOver(fetching)).toBe("idle");
    expect(await stage.list("wal")).toEqual([]);
    expect((await readdir(stage.session.folder)).sort()).toEqual(["absent", "asked", "declined", "wal"]);
  });

  test.each([
    ["another process has taken over", (stage: FetchStage) => writeFile(join(homeOf(stage.options), "pid"), "1\n")],
    ["the session was given up", (stage: FetchStage) => rm(join(homeOf(stage.options), "words"))],
    ["PostgreSQL was started anew", (stage: FetchStage) => writePostmaster(stage.options.pgdata, "1763632801")],
    ["PostgreSQL was stopped", (stage: FetchStage) => rm(join(stage.options.pgdata, "postmaster.pid"))],
    ["the spool is gone", (stage: FetchStage) => rm(stage.options.spool, { recursive: true })],
  ])("when %s", async (_what, change) => {
    await using stage = await FetchStage.open();
    const fetching = stage.start();
    await fetching.deliver(TWO);
    await stage.untilOffered(TWO);
    await change(stage);
    await stage.pass(1000);
    expect(await stage.untilOverWithNothing(fetching)).toBe("superseded");
    expect(await readdir(stage.spool("wal")).catch(() => [])).toEqual([]);
  });

  test("when the program or its configuration has changed; then nothing that it did counts any more", async () => {
    await using stage = await FetchStage.open();
    let unchanged = true;
    const fetching = stage.start({ most: 0, unchanged: async () => unchanged });
    unchanged = false;
    await stage.pass(1000);
    expect(await fetching.end).toBe("superseded");
    expect(existsSync(join(homeOf(stage.options), "words"))).toBe(false);
  });

  test("when it is stopped, and then begins nothing", async () => {
    await using stage = await FetchStage.open();
    expect(await stage.start({ signal: AbortSignal.abort() }).end).toBe("stopped");
    const fetching = stage.start();
    const load = await fetching.loading(TWO);
    fetching.abort();
    await load.succeed();
    expect(await fetching.end).toBe("stopped");
    expect(fetching.begun).toEqual([TWO]);
    expect(await stage.list("wal")).toEqual([]);
  });
});

describe("a process that goes on although another one has taken its place", () => {
  test("offers nothing, not even what the other one has half written", async () => {
    await using stage = await FetchStage.open();
    const before = stage.start();
    const late = await before.loading(TWO);
    const now = stage.start();
    const load = await now.loading(TWO);
    await late.succeed();
    before.abort();
    expect(await before.end).toBe("stopped");
    expect(await stage.list("wal")).toEqual([]);
    await load.succeed();
    await stage.untilOffered(TWO);
    expect(await stage.take(TWO)).toBe(contentOf(TWO));
  });

  test("offers nothing to a session for other words", async () => {
    await using stage = await FetchStage.open();
    const before = stage.start();
    const late = await before.loading(TWO);
    await stage.session.leave();
    stage.session = await enter({ ...stage.options, words: "other" }, stage.clock.now());
    const now = stage.start({ most: 0 });
    await late.succeed();
    before.abort();
    await before.end;
    expect(await stage.list("wal")).toEqual([]);
    expect(now.begun).toEqual([]);
  });
});
