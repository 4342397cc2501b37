import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { PgarkError } from "../../src/errors.ts";
import { enter } from "../spool/spool-fixture.ts";
import type { Pushing, Store } from "./push-stage.ts";
import { PushStage, segment, stopped } from "./push-stage.ts";

const FILES = [1, 2, 3, 4].map(segment);

const file = fc.constantFrom(...FILES);

/** What PostgreSQL, people, the store and the machine do. */
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("ready"), file }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("settle"), which: fc.nat(3), fails: fc.nat(9).map((n) => n === 0) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("archive"), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("ask"), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rewrite"), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("recycle"), file }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload"), repository: fc.constantFrom("one", "two") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass"), milliseconds: fc.constantFrom(1000, 11_000) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Process {
  readonly pushing: Pushing;
  readonly repository: string;
  over: boolean;
}

/** Repositories that keep what was stored first, and the processes that archive to them; some are dead and do not know it. */
class World {
  readonly #stage: PushStage;
  readonly #repositories = new Map([
    ["one", new Map<string, string>()],
    ["two", new Map<string, string>()],
  ]);
  readonly #processes: Process[] = [];
  #repository = "one";
  #writes = 0;
  /** acknowledgements that PostgreSQL took */
  taken = 0;

  constructor(stage: PushStage) {
    this.#stage = stage;
    this.#start();
  }

  #start(): void {
    const pushing = this.#stage.start({ inFlight: 2, lingerMs: 3_600_000 });
    const entry: Process = { pushing, repository: this.#repository, over: false };
    const note = (): void => void (entry.over = true);
    pushing.end.then(note, note);
    this.#processes.push(entry);
  }

  get #current(): Process {
    return this.#processes.at(-1) as Process;
  }

  async do(one: Step): Promise<void> {
    const stage = this.#stage;
    switch (one.kind) {
      case "ready":
        if (!existsSync(stage.wal(one.file))) await this.#write(one.file);
        await stage.wanted(one.file);
        break;
      case "rewrite":
        if (existsSync(stage.wal(one.file))) await this.#write(one.file);
        break;
      case "archive":
        if (!(await stage.acknowledged()).includes(one.file)) break;
        if (existsSync(stage.status(one.file, "ready"))) this.taken++;
        await rm(stage.status(one.file, "ready"), { force: true });
        break;
      case "recycle":
        if (existsSync(stage.status(one.file, "ready"))) break;
        await rm(stage.wal(one.file), { force: true });
        break;
      case "ask":
        await stage.ask(one.file);
        break;
      case "settle":
        await this.#untilBusy();
        this.#settle(one);
        break;
      case "kill":
        this.#current.pushing.abort();
        this.#start();
        break;
      case "reload":
        this.#repository = one.repository;
        await stage.session.leave();
        stage.session = await enter({ ...stage.options, words: one.repository }, stage.clock.now());
        this.#start();
        break;
      case "pass":
        await stage.pass(one.milliseconds);
        break;
      default:
        throw new Error("no such step");
    }
    await stage.breathe();
  }

  async #write(name: string): Promise<void> {
    await this.#stage.write(name, `${name} ${this.#writes++}`);
  }

  /** Waits for the process to begin what it must. */
  async #untilBusy(): Promise<void> {
    const { pushing } = this.#current;
    const must = (): boolean =>
      FILES.some(
        (name) =>
          existsSync(this.#stage.status(name, "ready")) &&
          existsSync(this.#stage.wal(name)) &&
          !existsSync(this.#stage.spool("done", name)),
      );
    while (pushing.pending.length === 0 && !this.#current.over && must()) await this.#stage.breathe();
  }

  #settle({ which, fails }: Step & { kind: "settle" }): void {
    const pending = this.#processes.flatMap(({ pushing, repository }) =>
      pushing.pending.map((store) => ({ store, repository })),
    );
    const one = pending[which % Math.max(pending.length, 1)];
    if (one === undefined) return;
    if (fails) one.store.fail();
    else this.#keep(one.store, this.#repositories.get(one.repository) ?? new Map<string, string>());
  }

  /** What changed while it was read is stored as it never was. */
  #keep(store: Store, repository: Map<string, string>): void {
    const content = this.#read(store.name) === store.content ? store.content : "torn";
    const kept = repository.get(store.name) ?? content;
    if (kept !== content) return store.fail(new PgarkError("conflict", "other content", { operation: "push" }));
    repository.set(store.name, content);
    store.succeed();
  }

  #read(name: string): string {
    return existsSync(this.#stage.wal(name)) ? readFileSync(this.#stage.wal(name), "utf8") : "";
  }

  /** What the front would take for archived, and is not, as it is in pg_wal, in the repository that the command line names. */
  async lost(): Promise<readonly string[]> {
    const repository = this.#repositories.get(this.#repository);
    return (await this.#stage.acknowledged()).filter((name) => repository?.get(name) !== this.#read(name));
  }

  /** All stores end, in success or because their process was stopped. */
  async end(succeed: boolean): Promise<void> {
    for (const { pushing, repository } of this.#processes) {
      pushing.abort();
      for (const store of pushing.pending.slice()) {
        if (succeed) this.#keep(store, this.#repositories.get(repository) ?? new Map<string, string>());
        else store.fail(stopped());
      }
    }
    await this.#stage.breathe();
  }
}

test(
  "whatever happens in whatever order, a file is acknowledged only when it was stored as it is",
  { timeout: 120_000 },
  async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), fc.boolean(), async (steps, succeed) => {
        await using stage = await PushStage.open();
        const world = new World(stage);
        for (const one of steps) {
          await world.do(one);
          expect(await world.lost()).toEqual([]);
        }
        await world.end(succeed);
        expect(await world.lost()).toEqual([]);
        taken += world.taken;
      }),
      { numRuns: 25 },
    );
    expect(taken).toBeGreaterThan(0);
  },
);
