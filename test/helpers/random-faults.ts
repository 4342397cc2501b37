import { errorAnswer } from "./fault-proxy.ts";
import type { Fault, FaultRule } from "./fault-proxy.ts";
import { Random } from "./random.ts";

export interface RandomFaultsOptions {
  /** of all requests */
  readonly percent: number;
  readonly seed: number;
  /** how many of them hang for ever, at most; none unless said: each costs its client all of its patience */
  readonly hangs?: number;
}

/**
 * Breaks some of all requests, in one way after the other of all those by which a request can fail for a while. The same seed
 * breaks the same ones, as far as they come in the same order.
 */
export function randomFaults(options: RandomFaultsOptions): FaultRule {
  const random = new Random(options.seed);
  let hangs = options.hangs ?? 0;
  let broken = 0;
  let insideOut = false;
  const busy = errorAnswer(503, "SlowDown", "Please reduce your request rate.");
  const faults: readonly (() => Fault)[] = [
    () => ({ kind: "latency", ms: random.below(200) }),
    () => ({ kind: "throttle", rate: 1_000_000 + random.below(10_000_000) }),
    () => ({ kind: "refuse" }),
    () => ({ kind: "reset-request", afterBytes: random.below(100_000) }),
    () => ({ kind: "reset-answer", afterBytes: random.below(100_000) }),
    () => ({ kind: "truncate-answer", afterBytes: random.below(100_000) }),
    () => ({ kind: "lose-answer" }),
    () => busy,
    () => ({ ...busy, headers: { "Retry-After": "1" } }),
    () => errorAnswer(500, "InternalError", "We encountered an internal error."),
    () => (hangs-- > 0 ? { kind: "hang" } : busy),
    () => (hangs-- > 0 ? { kind: "stall-answer", afterBytes: random.below(100_000) } : busy),
  ];
  return {
    matches: () => random.below(10_000) < options.percent * 100,
    fault: ({ method, url }) => {
      // A 200 with an error inside is what only these two are known for.
      const errorInside = method === "POST" && /[?&](uploadId|delete)\b/.test(url) && (insideOut = !insideOut);
      return errorInside
        ? errorAnswer(200, "InternalError", "Please try again.")
        : faults[broken++ % faults.length]?.();
    },
  };
}
