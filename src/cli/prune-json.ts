import { formatIdentity } from "../postgres/cluster-identity.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { PinRecord } from "../repository/pins.ts";
import type { UnfinishedBackup } from "../repository/unfinished-backups.ts";
import type { Applied } from "../retention/apply-deletion.ts";
import type { RetentionPolicy } from "../retention/policy.ts";
import type { KeepReason, WalExpireReason, WalKeepReason } from "../retention/retention-plan.ts";
import { walJson, windowJson } from "./json-shapes.ts";
import type { Json } from "./json-shapes.ts";
import type { PrunePlan } from "./prune-life.ts";

type JsonObject = { readonly [key: string]: Json };

export function policyJson(policy: RetentionPolicy): JsonObject {
  return {
    keepLast: policy.keepLast ?? null,
    keepWithinMs: policy.keepWithinMs ?? null,
    keepDaily: policy.keepDaily ?? null,
    keepWeekly: policy.keepWeekly ?? null,
    keepMonthly: policy.keepMonthly ?? null,
    keepYearly: policy.keepYearly ?? null,
  };
}

export function prunePlanJson({ life, plan, ...planned }: PrunePlan): JsonObject {
  const { catalog, pins } = life;
  const size = catalog.walSegmentSize;
  return {
    identity: formatIdentity(catalog.identity),
    windowBegin: plan.windowBegin?.toISOString() ?? null,
    backups: plan.backups.map((backup) => ({
      label: backup.record.label,
      timeline: backup.record.timeline,
      stopTime: backup.record.stopTime.toISOString(),
      storedBytes: backup.record.storedBytes,
      restorable: backup.restorable,
      verdict: backup.verdict,
      reasons: backup.verdict === "keep" ? backup.reasons.map(reasonJson) : [{ kind: backup.reason }],
    })),
    wal: plan.wal.map((range) => ({
      ...walJson(range, size),
      verdict: range.verdict,
      reason: reasonJson(range.reason),
    })),
    partials: plan.partials.map((partial) => ({
      name: `${segmentFileName(partial.timeline, partial.segment, size)}.partial`,
      verdict: partial.verdict,
      reason: reasonJson(partial.reason),
    })),
    unfinished: [
      ...planned.running.map((backup) => unfinishedJson(backup, "running")),
      ...planned.abandoned.map((backup) => unfinishedJson(backup, "abandoned")),
    ],
    pins: pins.map(pinJson),
    frees: { ...planned.frees },
    windowBefore: planned.windowBefore.map(windowJson),
    windowAfter: planned.windowAfter.map(windowJson),
  };
}

export function pinJson({ label, until, reason, pinned, host }: PinRecord): JsonObject {
  return { label, until: until?.toISOString() ?? null, reason, pinned: pinned.toISOString(), host };
}

/** A reason with its facts; what they are depends on its kind. */
function reasonJson(reason: KeepReason | WalKeepReason | WalExpireReason): JsonObject {
  return Object.fromEntries(
    Object.entries(reason).map(([name, value]: [string, Json | Date | undefined]) => [
      name,
      value instanceof Date ? value.toISOString() : (value ?? null),
    ]),
  );
}

function unfinishedJson(
  { label, marker, lastSign, objects, bytes }: UnfinishedBackup,
  verdict: "running" | "abandoned",
): JsonObject {
  const known = typeof marker === "string" ? undefined : marker;
  return {
    label,
    verdict,
    host: known?.host ?? null,
    begun: known?.begun.toISOString() ?? null,
    lastSign: lastSign.toISOString(),
    objects,
    bytes,
  };
}

export function appliedJson(applied: Applied): JsonObject {
  return {
    backups: applied.backups,
    unfinished: applied.swept,
    segments: applied.segments,
    uploads: applied.leftovers,
    objects: applied.erased.objects,
    bytes: applied.erased.bytes,
    notDeleted: {
      objects: applied.stayed.count,
      first: applied.stayed.first.map(({ key, problem }) => ({ key, problem })),
      backups: applied.backupsStayed.map(({ label, why }) => ({ label, why })),
      segmentsForNewBackups: applied.segmentsSpared,
    },
  };
}
