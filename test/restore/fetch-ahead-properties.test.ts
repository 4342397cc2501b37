import { readdir, readFile } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { enter } from "../spool/spool-fixture.ts";
import type { Fetching, Load } from "./fetch-stage.ts";
import { contentOf, FetchStage, segment, SEGMENT_SIZE } from "./fetch-stage.ts";

const WINDOW = 3;
const IN_FLIGHT = 2;

/** What recovery, the archive and the machine do. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("settle"), which: fc.nat(5), fails: fc.nat(9).map((n) => n === 0) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("recover") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("grow"), count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("move"),
      timeline: fc.integer({ min: 1, max: 2 }),
      by: fc.integer({ min: -2, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload"), words: fc.constantFrom("one", "two") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass"), milliseconds: fc.constantFrom(1000, 11_000) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** An archive that grows, recovery, and the processes that fetch for it; some are dead and do not know it. */
class World {
  readonly #stage: FetchStage;
  readonly #processes: Fetching[] = [];
  /** how many segments of each timeline the archive holds */
  #archived = 4;
  #timeline = 1;
  #position = 2;
  #questions = 0;
  /** for each question that waits, the loads that had begun before it */
  readonly #waiting = new Map<number, { readonly name: string; readonly before: ReadonlySet<Load> }>();
  /** loads that the archive answered with "there is none" */
  readonly #absent: Load[] = [];
  /** what recovery was given */
  readonly answers = { taken: 0, absent: 0, declined: 0 };

  constructor(stage: FetchStage) {
    this.#stage = stage;
    this.#start();
  }

  #start(): void {
    const after = segment(this.#position - 1, this.#timeline);
    this.#processes.push(this.#stage.start({ after, most: WINDOW * SEGMENT_SIZE, inFlight: IN_FLIGHT }));
  }

  async do(one: Step): Promise<void> {
    switch (one.kind) {
      case "settle":
        await this.#untilBusy();
        await this.#settle(one);
        break;
      case "recover":
        await this.#recover();
        break;
      case "grow":
        this.#archived += one.count;
        break;
      case "move":
        this.#timeline = one.timeline;
        this.#position = Math.max(1, this.#position + one.by);
        break;
      case "kill":
        this.#processes.at(-1)?.abort();
        this.#start();
        break;
      case "reload":
        await this.#stage.session.leave();
        this.#stage.session = await enter({ ...this.#stage.options, words: one.words }, this.#stage.clock.now());
        this.#waiting.clear();
        this.#start();
        break;
      case "pass":
        await this.#stage.pass(one.milliseconds);
        break;
      default:
        throw new Error("no such step");
    }
    await this.#stage.breathe();
    await this.check();
  }

  /** Waits for what must follow a question: a load, or an answer. */
  async #untilBusy(): Promise<void> {
    const idle = (): boolean => this.#processes.every(({ pending }) => pending.length === 0);
    const unanswered = (): boolean =>
      [...this.#waiting].some(([number, { name }]) => this.#stage.answer(name, number) === undefined);
    while (idle() && unanswered()) await this.#stage.breathe();
  }

  async #settle({ which, fails }: Step & { kind: "settle" }): Promise<void> {
    const pending = this.#processes.flatMap((process) => process.pending);
    const load = pending[which % Math.max(pending.length, 1)];
    if (load === undefined) return;
    if (fails) load.fail();
    else if (this.#isArchived(load.name)) await load.succeed();
    else {
      this.#absent.push(load);
      load.absent();
    }
  }

  #isArchived(name: string): boolean {
    return Number.parseInt(name.slice(16), 16) <= this.#archived;
  }

  /** What a front does: take the file when it is there, else ask and wait. */
  async #recover(): Promise<void> {
    const name = segment(this.#position, this.#timeline);
    const present = await this.#stage.list("wal");
    if (present.includes(name)) {
      expect(await this.#stage.take(name)).toBe(contentOf(name));
      this.answers.taken++;
      this.#position++;
    } else if (![...this.#waiting.values()].some((question) => question.name === name)) {
      const number = ++this.#questions;
      const before = new Set(this.#processes.flatMap((process) => process.pending));
      this.#waiting.set(number, { name, before });
      await this.#stage.ask(name, number);
    }
  }

  async check(): Promise<void> {
    await this.#readAnswers();
    const loads = this.#processes.flatMap((process) => process.pending).filter(({ asked }) => asked).length;
    const present = await this.#stage.list("wal");
    for (const name of present) {
      // It may have been removed since.
      const content = await readFile(this.#stage.spool("wal", name), "utf8").catch(() => contentOf(name));
      expect({ name, content }).toEqual({ name, content: contentOf(name) });
      expect({ name, archived: this.#isArchived(name) }).toEqual({ name, archived: true });
    }
    const waiting = (await this.#stage.list("asked")).length;
    expect(present.length).toBeLessThanOrEqual(WINDOW + 1 + IN_FLIGHT + loads + waiting);
  }

  /** Only a load that began after the question may say that there is no such file. */
  async #readAnswers(): Promise<void> {
    for (const [number, { name, before }] of this.#waiting) {
      const answer = this.#stage.answer(name, number);
      if (answer === undefined) continue;
      if (answer === "absent") {
        const own = this.#absent.filter((load) => load.name === name && load.asked && !before.has(load));
        expect({ name, own: own.length > 0 }).toEqual({ name, own: true });
      }
      if (answer !== "there") this.answers[answer]++;
      this.#waiting.delete(number);
    }
  }

  /** Stops all processes; who waits for a load begins another one when that fails. */
  async end(): Promise<void> {
    for (const { abort } of this.#processes) abort();
    let over = false;
    void Promise.allSettled(this.#processes.map(({ end }) => end)).then(() => (over = true));
    while (!over) {
      for (const load of this.#processes.flatMap((process) => [...process.pending])) load.fail();
      await this.#stage.breathe();
    }
    const left = await readdir(this.#stage.session.folder, { recursive: true });
    expect(left.filter((path) => /^(wal\/|incoming)/.test(path))).toEqual([]);
  }
}

test(
  "whatever happens in whatever order, only whole files are offered, few of them, and absence is never remembered",
  { timeout: 120_000 },
  async () => {
    const seen = { taken: 0, absent: 0, declined: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 50 }), async (steps) => {
        await using stage = await FetchStage.open();
        const world = new World(stage);
        for (const one of steps) await world.do(one);
        await world.end();
        seen.taken += world.answers.taken;
        seen.absent += world.answers.absent;
        seen.declined += world.answers.declined;
      }),
      { numRuns: 30 },
    );
    console.log(JSON.stringify(seen));
  },
);
