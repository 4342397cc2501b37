import type { AcknowledgedHole } from "../repository/acknowledged-holes.ts";
import { cutOut } from "../restore/cut-out.ts";
import { asIfWhole } from "../restore/lost-moments.ts";
import { findWalHoles } from "../restore/wal-holes.ts";
import type { WalHole } from "../restore/wal-holes.ts";
import { evaluateRetention } from "../retention/evaluate.ts";
import { isEmptyPolicy } from "../retention/policy.ts";
import type { RetentionPolicy } from "../retention/policy.ts";
import type { RetentionFacts } from "../retention/retention-plan.ts";

/** Missing WAL, by what it means that it is missing. */
export interface SortedHoles {
  /** something needs it */
  readonly needed: readonly WalHole[];
  /** somebody said that it is known */
  readonly acknowledged: readonly WalHole[];
  /** the policy has no need of it: such as `prune` leaves between older backups that are kept */
  readonly expired: readonly WalHole[];
}

/** Tells the holes that matter from those that were made on purpose. */
export function sortHoles(
  facts: RetentionFacts,
  policy: RetentionPolicy,
  known: readonly AcknowledgedHole[],
): SortedHoles {
  const holes = findWalHoles(facts.catalog);
  if (holes.length === 0) return { needed: [], acknowledged: [], expired: [] };
  const open = cutOut(holes, known);
  const expiring = isEmptyPolicy(policy) ? [] : expiringWal(facts, policy, holes);
  const needed = cutOut(open, expiring);
  return { needed, acknowledged: cutOut(holes, open), expired: cutOut(open, needed) };
}

/** What the policy would let go if it were there. */
function expiringWal(facts: RetentionFacts, policy: RetentionPolicy, holes: readonly WalHole[]): readonly WalHole[] {
  const whole = asIfWhole(facts.catalog, holes, []);
  return evaluateRetention({ ...facts, catalog: whole }, policy).wal.filter(({ verdict }) => verdict === "expire");
}
