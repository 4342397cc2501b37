import type { WalKeepReason } from "./retention-plan.ts";
import type { WalNeeded } from "./wal-needed.ts";

/** Segments of one timeline that stay for one reason; both ends are included, and without a last one all that follow count. */
export interface KeptPiece {
  readonly first: bigint;
  readonly last: bigint | undefined;
  readonly reason: WalKeepReason;
}

const weight = { "no-policy": 0, "none-restorable": 0, window: 1, uncovered: 1, running: 2, backup: 3 } as const;

/**
 * Ranges of one timeline, which may overlap, as pieces that do not, ascending: each segment has the weightiest reason, and of
 * equal ones that which reaches furthest, so that there are few pieces.
 */
export function disjointPieces(ranges: readonly WalNeeded[]): readonly KeptPiece[] {
  const bounds = boundsOf(ranges);
  const slotAt = new Map(bounds.map((bound, index) => [bound, index]));
  const reasons: (WalKeepReason | undefined)[] = bounds.map(() => undefined);
  for (const { first, last, reason } of [...ranges].sort(byPreference)) {
    const end = last === undefined ? bounds.length : (slotAt.get(last + 1n) ?? bounds.length);
    for (let slot = slotAt.get(first) ?? end; slot < end; slot += 1) reasons[slot] ??= reason;
  }
  const pieces: KeptPiece[] = [];
  for (const [slot, reason] of reasons.entries()) {
    const first = bounds[slot];
    const next = bounds[slot + 1];
    if (reason === undefined || first === undefined) continue;
    const last = next === undefined ? undefined : next - 1n;
    const previous = pieces.at(-1);
    if (previous?.last === first - 1n && sameReason(previous.reason, reason)) {
      pieces[pieces.length - 1] = { ...previous, last };
    } else pieces.push({ first, last, reason });
  }
  return pieces;
}

/** Every position at which a range begins, or at which one is over, ascending. */
function boundsOf(ranges: readonly WalNeeded[]): readonly bigint[] {
  const bounds = new Set<bigint>();
  for (const { first, last } of ranges) {
    bounds.add(first);
    if (last !== undefined) bounds.add(last + 1n);
  }
  return [...bounds].sort((a, b) => (a < b ? -1 : 1));
}

function byPreference(a: WalNeeded, b: WalNeeded): number {
  const byWeight = weight[a.reason.kind] - weight[b.reason.kind];
  if (byWeight !== 0) return byWeight;
  if (a.last !== b.last) return a.last === undefined || (b.last !== undefined && a.last > b.last) ? -1 : 1;
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return 0;
}

function sameReason(a: WalKeepReason, b: WalKeepReason): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
