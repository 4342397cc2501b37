import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../helpers/random.ts";
import { DetachedRun, type DetachedEnd, type DetachedOptions, type Victim } from "./detached-run.ts";

export interface KillTally {
  /** runs that were killed before they had ended */
  killed: number;
  /** runs that had ended by themselves before the signal came */
  late: number;
}

/**
 * Kills programs at moments that are spread over the time that they take: measured by a run that is left alone. The moments
 * and the victims follow from `random`.
 */
export class RandomKiller {
  readonly tally: KillTally = { killed: 0, late: 0 };
  readonly #random: Random;
  #durationMs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Runs to the end, and remembers how long that takes. */
  async measure(program: string, args: readonly string[], options: DetachedOptions): Promise<DetachedEnd> {
    const began = performance.now();
    const ended = await (await DetachedRun.start(program, args, options)).end();
    this.#durationMs = performance.now() - began;
    return ended;
  }

  /** Resolves when nothing of the program is left; what was not killed with it has come to its own end. */
  async kill(
    program: string,
    args: readonly string[],
    options: DetachedOptions,
  ): Promise<DetachedEnd & { readonly victim: Victim }> {
    const victim = (["group", "group", "front", "children"] as const)[this.#random.below(4)] ?? "group";
    const run = await DetachedRun.start(program, args, options);
    await delay(this.#random.below(Math.ceil(this.#durationMs * 1.05)));
    if (run.hasEnded) {
      this.tally.late++;
      this.#durationMs *= 0.95; // the machine is less busy than it was
    } else this.tally.killed++;
    run.send("SIGKILL", victim);
    return { ...(await run.end()), victim };
  }
}

/** PGARK_TEST_KILLS: how many kills there are in all; the share of one command. */
export function killsOf(share: number): number {
  const all = Number(process.env["PGARK_TEST_KILLS"] ?? 40);
  return Math.max(1, Math.round(all * share));
}
