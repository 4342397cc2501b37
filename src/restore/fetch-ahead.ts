import type { Log } from "../log.ts";
import { parseWalFileName, segmentFileName, segmentNumber } from "../postgres/wal-file-name.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { SpoolSession } from "../spool/session.ts";
import { Wake } from "../spool/wake.ts";
import type { SignalOption } from "../storage/object-store.ts";
import type { Question } from "./fetch-spool.ts";
import { FetchSpool } from "./fetch-spool.ts";

const beatMs = 1000;

export interface FetchAheadOptions extends SignalOption {
  readonly session: SpoolSession;
  /**
   * Writes a file, authenticated and verified, to `path`. "absent" only when the store answered so; `asked`: PostgreSQL takes
   * that for the end of the archive.
   */
  readonly load: (name: WalFileName, path: string, asked: boolean) => Promise<"loaded" | "absent">;
  /** whether something else may stand in for a segment that is absent, which is the foreground's to decide */
  readonly hasStandIn: (name: WalFileName) => Promise<boolean>;
  /** bytes of a WAL segment */
  readonly segmentSize: number;
  /** bytes of WAL that may lie in the spool */
  readonly most: number;
  /** how many files are under way at once */
  readonly inFlight: number;
  readonly lingerMs: number;
  /** the file that PostgreSQL asked for last */
  readonly after: string;
  readonly unchanged: () => Promise<boolean>;
  readonly now: () => Date;
  readonly log: Log;
}

/**
 * Brings the segments that recovery will ask for next into the spool, several at once, and answers what the front asks. That a
 * file is absent is never remembered beyond the question: what is not there now may be archived a moment later.
 */
export async function fetchAhead(options: FetchAheadOptions): Promise<"idle" | "superseded" | "stopped"> {
  const fetcher = new Fetcher(options);
  try {
    return await fetcher.run();
  } catch (error) {
    // Where the session is another's now, its folder is gone, and that is no failure.
    if (!(await options.session.beat(options.now()))) return "superseded";
    throw error;
  } finally {
    await fetcher.close();
  }
}

class Fetcher {
  readonly #options: FetchAheadOptions;
  readonly #spool: FetchSpool;
  readonly #wake: Wake;
  readonly #window: bigint;
  readonly #underWay = new Map<string, Promise<"loaded" | "absent">>();
  readonly #answering = new Map<string, Promise<void>>();
  /** what lies in the spool, for all that is known */
  readonly #offered = new Set<string>();
  /** segments brought ahead since one was not there: at the end of the archive only one is tried at a time */
  #streak = 0;
  /** where recovery is: the segment that it asked for, or took, last */
  #position: { readonly timeline: TimelineId; readonly segment: bigint } | undefined;
  /** a segment that was not there, or failed: none beyond it is tried until recovery has moved */
  #end: bigint | undefined;
  /** why nothing can be answered any more */
  #broken: { readonly error: unknown } | undefined;
  #lastWork: number;
  #lastBeat = 0;

  constructor(options: FetchAheadOptions) {
    this.#options = options;
    this.#spool = new FetchSpool(options.session.folder);
    this.#wake = new Wake([this.#spool.asked, this.#spool.wal]);
    this.#window = BigInt(Math.floor(options.most / options.segmentSize));
    this.#lastWork = options.now().getTime();
    options.signal?.addEventListener("abort", () => this.#wake.now(), { once: true });
  }

  async run(): Promise<"idle" | "superseded" | "stopped"> {
    await this.#spool.begin();
    this.#moveTo(this.#options.after, "asked");
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken.error;
      if (this.#options.signal?.aborted) return "stopped";
      if (!(await this.#beat())) return "superseded";
      this.#look();
      this.#ahead();
      const now = this.#options.now().getTime();
      if (this.#answering.size > 0) this.#lastWork = now;
      else if (now - this.#lastWork >= this.#options.lingerMs) return "idle";
      await this.#wake.wait(beatMs);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#underWay.values(), ...this.#answering.values()]);
    this.#wake.close();
    await this.#spool.end();
  }

  async #beat(): Promise<boolean> {
    const now = this.#options.now();
    if (Math.abs(now.getTime() - this.#lastBeat) < beatMs) return true;
    this.#lastBeat = now.getTime();
    this.#spool.sweep(now);
    if (!(await this.#options.session.beat(now))) return false;
    if (await this.#options.unchanged()) return true;
    // The front sees by itself that the configuration was written anew, but not that it is found elsewhere now.
    await this.#options.session.giveUp();
    return false;
  }

  /** Sees what was taken and what is asked for. */
  #look(): void {
    const present = new Set(this.#spool.present());
    for (const name of this.#offered) {
      if (present.has(name)) continue;
      this.#offered.delete(name);
      this.#moveTo(name, "taken");
    }
    for (const name of present) this.#offered.add(name);
    for (const question of this.#spool.questions()) {
      if (this.#answering.has(question.id)) continue;
      this.#moveTo(question.name, "asked");
      const answering = this.#answer(question)
        .catch((error: unknown) => {
          this.#broken ??= { error };
        })
        .finally(() => {
          this.#answering.delete(question.id);
          this.#wake.now();
        });
      this.#answering.set(question.id, answering);
    }
    for (const name of this.#offered) {
      if (!this.#isOutside(name)) continue;
      this.#spool.withdraw(name);
      this.#offered.delete(name);
    }
  }

  /** Recovery asked for a file, or took it. */
  #moveTo(file: string, how: "asked" | "taken"): void {
    this.#lastWork = this.#options.now().getTime();
    const name = parseWalFileName(file);
    if (name?.kind !== "segment") return;
    this.#end = undefined;
    const segment = segmentNumber(name, this.#options.segmentSize);
    const before = this.#position;
    // Several taken between two looks are seen in no order.
    if (how === "taken" && before?.timeline === name.timeline && before.segment > segment) return;
    this.#position = { timeline: name.timeline, segment };
  }

  /** Whether a segment in the spool is of no use any more, or not yet. */
  #isOutside(file: string): boolean {
    const name = parseWalFileName(file);
    if (name?.kind !== "segment" || this.#position === undefined) return false;
    const ahead = segmentNumber(name, this.#options.segmentSize) - this.#position.segment;
    return name.timeline !== this.#position.timeline || ahead < 0n || ahead > this.#window;
  }

  async #answer(question: Question): Promise<void> {
    const name = parseWalFileName(question.name);
    try {
      if (name === undefined) return this.#spool.answer(question, "declined");
      if (this.#offered.has(question.name) || (await this.#bring(name)) === "loaded")
        return this.#spool.answer(question);
      if (name.kind === "segment") this.#endAt(segmentNumber(name, this.#options.segmentSize) + 1n);
      const declined = name.kind === "segment" && (await this.#options.hasStandIn(name));
      return this.#spool.answer(question, declined ? "declined" : "absent");
    } catch (error) {
      // The foreground has the patience, and PostgreSQL's log to tell it to.
      this.#options.log.warn(`could not fetch ${question.name}: ${String(error)}`);
      return this.#spool.answer(question, "declined");
    }
  }

  #ahead(): void {
    if (this.#position === undefined || this.#answering.size > 0) return;
    const { timeline, segment } = this.#position;
    const { segmentSize } = this.#options;
    const inFlight = Math.min(this.#options.inFlight, 1 + this.#streak);
    for (let next = segment + 1n; next <= segment + this.#window; next++) {
      if (this.#underWay.size >= inFlight || (this.#end !== undefined && next >= this.#end)) return;
      const file = segmentFileName(timeline, next, segmentSize);
      const name = parseWalFileName(file);
      if (name === undefined || this.#offered.has(file) || this.#underWay.has(file)) continue;
      // Who asks for it meanwhile waits for it, and hears of a failure by trying again.
      this.#track(name, this.#loadAhead(name, next)).catch(() => undefined);
    }
  }

  /** What comes of it is known before anybody is woken. */
  async #loadAhead(name: WalFileName, segment: bigint): Promise<"loaded" | "absent"> {
    try {
      const result = await this.#load(name, false);
      if (result === "absent") this.#endAt(segment);
      else if (this.#end === undefined) this.#streak++;
      return result;
    } catch (error) {
      this.#options.log.debug(`could not fetch ${name.name} ahead: ${String(error)}`);
      this.#endAt(segment);
      throw error;
    }
  }

  #endAt(segment: bigint): void {
    this.#streak = 0;
    if (this.#end === undefined || segment < this.#end) this.#end = segment;
  }

  /** Loads a file that is asked for, and offers it. */
  async #bring(name: WalFileName): Promise<"loaded" | "absent"> {
    // One at a time: two would write to the same file. An attempt made ahead had less patience, and "absent" may be older
    // than the question.
    for (
      let underWay = this.#underWay.get(name.name);
      underWay !== undefined;
      underWay = this.#underWay.get(name.name)
    ) {
      if ((await underWay.catch(() => "absent")) === "loaded") return "loaded";
    }
    return this.#track(name, this.#load(name, true));
  }

  /** Under way until it ends. */
  async #track({ name }: WalFileName, load: Promise<"loaded" | "absent">): Promise<"loaded" | "absent"> {
    const work = load.finally(() => {
      this.#underWay.delete(name);
      this.#wake.now();
    });
    this.#underWay.set(name, work);
    return work;
  }

  async #load(name: WalFileName, asked: boolean): Promise<"loaded" | "absent"> {
    const result = await this.#options.load(name, this.#spool.incoming(name.name), asked);
    if (result === "loaded") {
      this.#spool.offer(name.name);
      this.#offered.add(name.name);
    }
    return result;
  }
}
