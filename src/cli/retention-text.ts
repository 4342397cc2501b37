import { formatDuration, formatUtc } from "../format.ts";
import type { BackupExpireReason, KeepReason, WalExpireReason, WalKeepReason } from "../retention/retention-plan.ts";
import type { PinRecord } from "../repository/pins.ts";
import { isEmptyPolicy } from "../retention/policy.ts";
import type { RetentionPolicy } from "../retention/policy.ts";
import { formatMoment } from "./format.ts";

/** "keep-last 3, keep-within 30 d 00 h": the rules that are set. */
export function policyText(policy: RetentionPolicy): string {
  if (isEmptyPolicy(policy)) return "none";
  const { keepLast, keepWithinMs, keepDaily, keepWeekly, keepMonthly, keepYearly } = policy;
  const rules: readonly (readonly [string, number | string | undefined])[] = [
    ["keep-last", keepLast],
    ["keep-within", keepWithinMs === undefined ? undefined : formatDuration(keepWithinMs)],
    ["keep-daily", keepDaily],
    ["keep-weekly", keepWeekly],
    ["keep-monthly", keepMonthly],
    ["keep-yearly", keepYearly],
  ];
  return rules.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`])).join(", ");
}

export function keepReasonText(reason: KeepReason): string {
  switch (reason.kind) {
    case "no-policy":
      return "no policy is set";
    case "none-restorable":
      return "no backup can be restored, so none may go";
    case "newest":
      return "the newest that can be restored";
    case "last":
      return `keep-last, ${reason.place} of ${reason.count}`;
    case "within":
      return `keep-within, ended after ${formatUtc(reason.begin)}`;
    case "opens-window":
      return `opens the window of timeline ${reason.timeline}, which begins ${formatUtc(reason.begin)}`;
    case "in-window":
      return `lies in the window of timeline ${reason.timeline}`;
    case "daily":
    case "weekly":
    case "monthly":
    case "yearly":
      return `keep-${reason.kind}, ${reason.period}`;
    case "pin":
      return reason.until === undefined ? "pinned" : `pinned until ${formatMoment(reason.until)}`;
  }
}

export function backupExpireText(reason: BackupExpireReason): string {
  switch (reason) {
    case "outside-policy":
      return "no rule keeps it";
    case "not-restorable":
      return "cannot be restored: WAL that it needs is missing; no rule counts it";
  }
}

export function walKeepText(reason: WalKeepReason): string {
  switch (reason.kind) {
    case "no-policy":
      return "no policy is set";
    case "none-restorable":
      return "no backup can be restored, so nothing may go";
    case "window":
      return `the window of timeline ${reason.timeline}, from backup ${reason.backup} on`;
    case "uncovered":
      return `timeline ${reason.timeline} is in use, and no backup that can be restored leads to it`;
    case "running":
      return `backup ${reason.backup}, which is being taken, may need it`;
    case "backup":
      return `backup ${reason.backup} needs it`;
  }
}

export function walExpireText(reason: WalExpireReason): string {
  switch (reason.kind) {
    case "not-needed":
      return reason.next === undefined ? "nothing needs it" : `nothing before backup ${reason.next} needs it`;
    case "unreachable": {
      const since =
        reason.lastArchived === undefined ? "" : `, and nothing came since ${formatUtc(reason.lastArchived)}`;
      return `no backup leads to it${since}`;
    }
  }
}

/** "until 2027-04-01 00:00:00 UTC: before the migration (set on db1)" */
export function pinText({ until, reason, host }: PinRecord): string {
  const how = until === undefined ? "for ever" : `until ${formatMoment(until)}`;
  return `${how}${reason === "" ? "" : `: ${reason}`} (set on ${host})`;
}
