import { describe, expect, test } from "vitest";
import { PgarkError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import { RepositoryMember } from "../../src/repository/members.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { fromFirst } from "../../src/restore/fetch-first.ts";
import { KeepingLog } from "../repository/members-fixture.ts";

type Answer = "has" | "absent" | "unavailable" | "corrupt" | "no-cluster" | "closed" | "aborted";

/** Repositories of which each answers as it is told; "closed" cannot even be opened. */
function ask(answers: readonly Answer[]) {
  const asked: number[] = [];
  const members = answers.map((answer, index) => {
    const open = async (): Promise<Repository> => {
      if (answer === "closed") throw new PgarkError("unavailable", "cannot be opened", { operation: "open" });
      return { index } as unknown as Repository;
    };
    return new RepositoryMember(`memory://${index}`, open);
  });
  const work = async (repository: Repository): Promise<number | "absent"> => {
    const { index } = repository as unknown as { index: number };
    asked.push(index);
    const answer = answers[index] as Answer;
    if (answer === "has") return index;
    if (answer === "absent") return "absent";
    throw new PgarkError(answer as "corrupt", answer, { operation: "fetch" });
  };
  return { asked, members, fetch: (log = silentLog) => fromFirst(members, work, log) };
}

describe("a file from the first repository that has it", () => {
  const cases: readonly [answers: readonly Answer[], outcome: number | string][] = [
    [["has"], 0],
    [["absent"], "absent"],
    [["unavailable"], "unavailable"],
    [["has", "unavailable"], 0],
    [["absent", "has"], 1],
    [["unavailable", "has"], 1],
    [["closed", "has"], 1],
    [["corrupt", "has"], 1],
    [["no-cluster", "has"], 1],
    [["absent", "absent"], "absent"],
    [["absent", "absent", "absent"], "absent"],
    [["absent", "unavailable"], "unavailable"],
    [["closed", "absent"], "unavailable"],
    [["absent", "corrupt"], "corrupt"],
    [["corrupt", "absent"], "corrupt"],
    [["absent", "no-cluster"], "no-cluster"],
    [["corrupt", "corrupt"], "corrupt"],
    [["absent", "corrupt", "has"], 2],
    [["unavailable", "absent", "corrupt"], "unavailable"],
    [["corrupt", "unavailable"], "unavailable"],
    [["aborted", "has"], "aborted"],
  ];
  test.each(cases)("%j: %s", async (answers, outcome) => {
    const fetched = await ask(answers)
      .fetch()
      .catch((error: unknown) => (error as PgarkError).code);
    expect(fetched).toBe(outcome);
  });

  test("without any repository there is no answer, least of all that it is absent", async () => {
    await expect(ask([]).fetch()).rejects.toThrow("nobody");
  });

  test("the others are not asked once one has it", async () => {
    const { asked, fetch } = ask(["absent", "has", "has"]);
    await fetch();
    expect(asked).toEqual([0, 1]);
  });

  test("one that failed is asked last the next time, and one whose copy was damaged is not", async () => {
    const failing = ask(["unavailable", "has"]);
    await failing.fetch();
    await failing.fetch();
    expect(failing.asked).toEqual([0, 1, 1]);
    const damaged = ask(["corrupt", "has"]);
    await damaged.fetch();
    await damaged.fetch();
    expect(damaged.asked).toEqual([0, 1, 0, 1]);
  });

  test("one that failed is asked still before the answer is that there is none", async () => {
    const { asked, members, fetch } = ask(["absent", "absent"]);
    const [first] = members as [RepositoryMember];
    first.away = new Error("a moment ago");
    expect(await fetch()).toBe("absent");
    expect(asked).toEqual([1, 0]);
    expect(first.away).toBeUndefined();
  });

  test("what was passed over is told", async () => {
    const log = new KeepingLog();
    await ask(["corrupt", "absent", "has"]).fetch(log);
    expect(log.lines).toEqual(["warn: passed over memory://0"]);
  });
});
