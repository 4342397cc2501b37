import { existsSync } from "node:fs";
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
  #archived = 2;
  #timeline = 1;
  #position = 2;
  #questions = 0;
  /** for each question that waits, the loads that had begun before it */
  readonly #waiting = new Map<number, { readonly name: string; readonly before: ReadonlySet<Load> }>();
  /** loads that the archive answered with "there is none" */
  readonly #absent: Load[] = [];
  /** how many files recovery took */
  taken = 0;
  /** what must never be */
  readonly wrong: string[] = [];

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
    await this.#look();
  }

  /** Waits for what must follow a question: a load, or an answer. */
  async #untilBusy(): Promise<void> {
    const idle = (): boolean => this.#processes.every(({ pending }) => pending.length === 0);
    const unanswered = (): (readonly [number, string])[] =>
      [...this.#waiting].flatMap(([number, { name }]) =>
        this.#stage.answer(name, number) === undefined ? [[number, name] as const] : [],
      );
    while (idle() && unanswered().length > 0) {
      // As the front does when its question is gone, and the answer too: a process that ended took its files with it.
      for (const [number, name] of unanswered()) {
        if (!existsSync(this.#stage.spool("asked", `${name}.${number}`))) await this.#stage.ask(name, number);
      }
      await this.#stage.breathe();
    }
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
      // It may be withdrawn at this moment: then node fetches it.
      const content = await this.#stage.take(name).catch(() => undefined);
      if (content === undefined) return;
      if (content !== contentOf(name)) this.wrong.push(`${name} was taken with "${content}"`);
      this.taken++;
      this.#position++;
    } else if (![...this.#waiting.values()].some((question) => question.name === name)) {
      const number = ++this.#questions;
      const before = new Set(this.#processes.flatMap((process) => process.pending));
      this.#waiting.set(number, { name, before });
      await this.#stage.ask(name, number);
    }
  }

  async #look(): Promise<void> {
    await this.#readAnswers();
    const loads = this.#processes.flatMap((process) => process.pending).filter(({ asked }) => asked).length;
    const present = await this.#stage.list("wal");
    for (const name of present) {
      // It may have been removed since.
      const content = await readFile(this.#stage.spool("wal", name), "utf8").catch(() => contentOf(name));
      if (content !== contentOf(name)) this.wrong.push(`${name} is offered with "${content}"`);
      if (!this.#isArchived(name)) this.wrong.push(`${name} is offered and not archived`);
    }
    const waiting = (await this.#stage.list("asked")).length;
    if (present.length > WINDOW + 1 + IN_FLIGHT + loads + waiting)
      this.wrong.push(`${present.length} files are offered`);
  }

  /** Only a load that began after the question may say that there is no such file. */
  async #readAnswers(): Promise<void> {
    for (const [number, { name, before }] of this.#waiting) {
      const answer = this.#stage.answer(name, number);
      if (answer === undefined) continue;
      if (answer === "absent") {
        const own = this.#absent.filter((load) => load.name === name && load.asked && !before.has(load));
        if (own.length === 0) this.wrong.push(`${name} was said to be absent without looking`);
      }
      this.#waiting.delete(number);
    }
  }

  async end(): Promise<void> {
    await this.#stage.endAll();
    const left = await readdir(this.#stage.session.folder, { recursive: true });
    this.wrong.push(...left.filter((path) => /^(wal\/|incoming)/.test(path)));
  }
}

test(
  "whatever happens in whatever order, only whole files are offered, few of them, and absence is never remembered",
  { timeout: 120_000 },
  async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 50 }), async (steps) => {
        await using stage = await FetchStage.open();
        const world = new World(stage);
        for (const one of steps) {
          await world.do(one);
          expect(world.wrong).toEqual([]);
        }
        await world.end();
        expect(world.wrong).toEqual([]);
        taken += world.taken;
      }),
      { numRuns: 20 },
    );
    expect(taken).toBeGreaterThan(0);
  },
);
