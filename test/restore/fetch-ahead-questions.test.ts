import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { until } from "../helpers/processes.ts";
import { contentOf, FetchStage, segment, SEGMENT_SIZE } from "./fetch-stage.ts";

const [TWO, THREE] = [2, 3].map((number) => segment(number)) as [string, string];

describe("a question", () => {
  test("for what is there, or under way, needs no load of its own", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start();
    await fetching.loading(TWO);
    await stage.ask(TWO);
    await fetching.deliver(TWO);
    expect(await stage.untilAnswered(TWO)).toBe("there");
    await until(async () => (await stage.list("asked")).length === 0, "the question to go");
    await stage.ask(TWO, 2);
    await until(async () => (await stage.list("asked")).length === 0, "the question to go");
    expect(fetching.begun.filter((name) => name.startsWith(TWO))).toEqual([TWO]);
  });

  test("for what is not there is answered once, to who asked, and the next one is asked of the archive again", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: 0 });
    await stage.ask(TWO, 1);
    (await fetching.loading(TWO)).absent();
    expect(await stage.untilAnswered(TWO, 1)).toBe("absent");
    await stage.ask(TWO, 2);
    const load = await fetching.loading(TWO);
    expect(stage.answer(TWO, 2)).toBeUndefined();
    await load.succeed();
    expect(await stage.untilAnswered(TWO, 2)).toBe("there");
    expect(fetching.begun).toEqual([`${TWO}?`, `${TWO}?`]);
    expect(fetching.warnings).toEqual([]);
  });

  test.each(["absent", "fail"] as const)(
    "is not answered by a load ahead of it (%s), but by one of its own",
    async (how) => {
      await using stage = await FetchStage.open();
      const fetching = stage.start();
      const before = await fetching.loading(TWO);
      await stage.ask(TWO);
      await stage.poke();
      await stage.breathe();
      before[how]();
      await until(() => fetching.begun.length === 2, "another load");
      expect(stage.answer(TWO)).toBeUndefined();
      (await fetching.loading(TWO)).absent();
      expect(await stage.untilAnswered(TWO)).toBe("absent");
      expect(fetching.begun).toEqual([TWO, `${TWO}?`]);
    },
  );

  test("is declined when the archive does not answer: the front has the patience", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: 0 });
    await stage.ask(TWO);
    (await fetching.loading(TWO)).fail(new Error("no network"));
    expect(await stage.untilAnswered(TWO)).toBe("declined");
    expect(fetching.warnings).toEqual([expect.stringContaining(TWO)]);
    expect(await stage.asked("no WAL file")).toBe("declined");
    expect(fetching.begun).toEqual([`${TWO}?`]);
  });

  test("is declined when something may stand in for the segment", async () => {
    await using stage = await FetchStage.open();
    const seen: string[] = [];
    const hasStandIn = async ({ name }: { readonly name: string }): Promise<boolean> => {
      seen.push(name);
      return name === TWO;
    };
    const fetching = stage.start({ most: 0, hasStandIn });
    for (const [name, answer] of [
      [TWO, "declined"],
      [THREE, "absent"],
      ["00000002.history", "absent"],
    ] as const) {
      await stage.ask(name);
      (await fetching.loading(name)).absent();
      expect(await stage.untilAnswered(name)).toBe(answer);
    }
    expect(seen).toEqual([TWO, THREE]);
  });

  test("is declined when it cannot be found out whether something may stand in", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: 0, hasStandIn: () => Promise.reject(new Error("no network")) });
    await stage.ask(TWO);
    (await fetching.loading(TWO)).absent();
    expect(await stage.untilAnswered(TWO)).toBe("declined");
  });

  test("for a timeline history is answered, and moves nothing", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: SEGMENT_SIZE });
    await fetching.deliver(TWO);
    await stage.untilOffered(TWO);
    await stage.ask("00000002.history");
    await fetching.deliver("00000002.history");
    expect(await stage.untilAnswered("00000002.history")).toBe("there");
    expect(await stage.list("wal")).toEqual([TWO, "00000002.history"]);
    expect(await stage.take("00000002.history")).toBe(contentOf("00000002.history"));
  });

  test("of several for one file is never loaded for twice at once", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start();
    const ahead = await fetching.loading(TWO);
    for (const number of [1, 2, 3]) await stage.ask(TWO, number);
    await stage.poke();
    await stage.breathe();
    ahead.absent();
    for (const _ of [1, 2]) (await fetching.loading(TWO)).absent();
    await until(() => [1, 2, 3].filter((number) => stage.answer(TWO, number) === "absent").length === 2, "two answers");
    await fetching.deliver(TWO);
    await stage.untilOffered(TWO);
    expect(fetching.most.ofOne).toBe(1);
    expect(await readFile(stage.spool("wal", TWO), "utf8")).toBe(contentOf(TWO));
  });

  test("that nobody reads the answer to leaves nothing behind", async () => {
    await using stage = await FetchStage.open();
    const fetching = stage.start({ most: 0 });
    await stage.ask(TWO);
    (await fetching.loading(TWO)).absent();
    expect(await stage.untilAnswered(TWO)).toBe("absent");
    expect(await stage.asked("none")).toBe("declined");
    await stage.pass(20_000);
    await until(
      async () => [...(await stage.list("absent")), ...(await stage.list("declined"))].length === 0,
      "the answers to go",
    );
  });
});
