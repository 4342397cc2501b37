import type { BackupRecord } from "../repository/backup-record.ts";
import type { BackupAges } from "./backup-ages.ts";
import { periodOf } from "./calendar.ts";
import type { CalendarUnit } from "./calendar.ts";
import type { RetentionPolicy } from "./policy.ts";
import type { KeepReason, Pin, RetentionFacts } from "./retention-plan.ts";
import type { Window } from "./window.ts";

/** Every backup that stays, with why: at least one reason each, the weightiest first. */
export type ChosenBackups = ReadonlyMap<BackupRecord, readonly KeepReason[]>;

class Reasons {
  readonly found = new Map<BackupRecord, KeepReason[]>();

  add(backup: BackupRecord, reason: KeepReason): void {
    const others = this.found.get(backup);
    if (others === undefined) this.found.set(backup, [reason]);
    else others.push(reason);
  }
}

/**
 * Asks every rule of the policy, and keeps what any of them names.
 *
 * @param newest the backups that can be restored, newest first: only they are counted
 */
export function chooseBackups(
  facts: RetentionFacts,
  policy: RetentionPolicy,
  ages: BackupAges,
  newest: readonly BackupRecord[],
  window: Window,
): ChosenBackups {
  const reasons = new Reasons();
  countLast(reasons, policy, newest);
  keepWithin(reasons, facts, policy, ages);
  keepWindow(reasons, facts, window);
  const units: readonly (readonly [CalendarUnit, number | undefined])[] = [
    ["daily", policy.keepDaily],
    ["weekly", policy.keepWeekly],
    ["monthly", policy.keepMonthly],
    ["yearly", policy.keepYearly],
  ];
  for (const [unit, count] of units) keepPeriods(reasons, unit, count ?? 0, ages, newest);
  const pins = new Map(holdingPins(facts).map((pin) => [pin.label, pin]));
  for (const backup of facts.catalog.backups) {
    const pin = pins.get(backup.label);
    if (pin !== undefined) reasons.add(backup, { kind: "pin", until: pin.until });
  }
  return reasons.found;
}

/** Pins whose time is not over. */
export function holdingPins({ pins, now }: RetentionFacts): readonly Pin[] {
  return pins.filter(({ until }) => until === undefined || until > now);
}

function countLast(reasons: Reasons, { keepLast }: RetentionPolicy, newest: readonly BackupRecord[]): void {
  for (const [index, backup] of newest.slice(0, keepLast ?? 1).entries()) {
    reasons.add(
      backup,
      keepLast === undefined ? { kind: "newest" } : { kind: "last", place: index + 1, count: keepLast },
    );
  }
}

function keepWithin(
  reasons: Reasons,
  { catalog, now }: RetentionFacts,
  { keepWithinMs }: RetentionPolicy,
  ages: BackupAges,
): void {
  if (keepWithinMs === undefined) return;
  const begin = now.getTime() - keepWithinMs;
  for (const backup of catalog.backups) {
    if (ages.endOf(backup) > begin) reasons.add(backup, { kind: "within", begin: new Date(begin) });
  }
}

/** What no rule counts and the window needs all the same: what opens it, and what lies in it. */
function keepWindow(reasons: Reasons, { catalog }: RetentionFacts, window: Window): void {
  const { begin, paths } = window;
  const opening = new Map<BackupRecord, KeepReason>();
  const inside = new Map<BackupRecord, KeepReason>();
  for (const [timeline, path] of paths) {
    for (const member of path.members) inside.set(member, { kind: "in-window", timeline });
    if (path.opening === undefined) continue;
    opening.set(path.opening, { kind: "opens-window", timeline, begin: new Date(begin) });
  }
  for (const backup of catalog.backups) {
    if (reasons.found.has(backup)) continue;
    const reason = opening.get(backup) ?? inside.get(backup);
    if (reason !== undefined) reasons.add(backup, reason);
    else if (window.holds(backup)) reasons.add(backup, { kind: "in-window", timeline: backup.timeline });
  }
}

function keepPeriods(
  reasons: Reasons,
  unit: CalendarUnit,
  count: number,
  ages: BackupAges,
  newest: readonly BackupRecord[],
): void {
  const seen = new Set<string>();
  for (const backup of newest) {
    if (seen.size === count) return;
    const period = periodOf(unit, ages.endOf(backup));
    if (seen.has(period)) continue;
    seen.add(period);
    reasons.add(backup, { kind: unit, period });
  }
}
