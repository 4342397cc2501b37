import { setImmediate as turn } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { KeepUpOptions } from "../../src/archive/keep-up.ts";
import { KeepUp } from "../../src/archive/keep-up.ts";
import { identity, moment } from "../repository/backup-fixture.ts";
import { KeepingLog, type Place } from "../repository/members-fixture.ts";

export interface KeepUpStage {
  readonly keepUp: KeepUp;
  readonly log: KeepingLog;
  /** pauses that it asked for, in milliseconds */
  readonly pauses: number[];
  /** the files that were to come from the data directory */
  readonly fromDisk: string[];
  readonly end: () => Promise<void>;
  /** Ends all pauses, and lets everybody work until there is nothing more to do. */
  readonly tick: () => Promise<void>;
}

export async function breathe(): Promise<void> {
  for (let round = 0; round < 300; round++) await turn();
}

/** Keeps these level until the test has ended. */
export function keepUpStage(
  places: readonly Pick<Place, "member">[],
  changes: Partial<KeepUpOptions> = {},
): KeepUpStage {
  const log = new KeepingLog();
  const pauses: number[] = [];
  const fromDisk: string[] = [];
  let sleeping: (() => void)[] = [];
  const keepUp = new KeepUp({
    members: places.map(({ member }) => member),
    identity,
    host: "db1",
    storeFromDisk: async (_member, name) => {
      fromDisk.push(name);
      return false;
    },
    now: () => moment,
    sleep: (milliseconds, signal) => {
      pauses.push(milliseconds);
      return new Promise((resolve, reject) => {
        sleeping.push(resolve);
        if (signal?.aborted) reject(new Error("stopped"));
        signal?.addEventListener("abort", () => reject(new Error("stopped")), { once: true });
      });
    },
    log,
    ...changes,
  });
  const stop = new AbortController();
  const running = keepUp.run(stop.signal);
  const self: KeepUpStage = {
    keepUp,
    log,
    pauses,
    fromDisk,
    end: async () => {
      stop.abort();
      await running;
    },
    tick: async () => {
      for (const wake of sleeping.splice(0)) wake();
      sleeping = [];
      await breathe();
    },
  };
  onTestFinished(self.end);
  return self;
}
