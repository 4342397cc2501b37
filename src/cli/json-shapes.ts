import { formatIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog, WalInterval } from "../repository/catalog.ts";
import type {
  ReachableMoment,
  RecoveryPlan,
  RecoveryRefusal,
  RecoveryTarget,
  WalNeed,
  WindowInterval,
} from "../restore/recovery-plan.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** One line of JSON. A bigint that slipped through is written as a string: numbers of that size do not survive `JSON.parse`. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part));
}

/** A backup, as docs/json.md says. LSNs and the system identifier are strings, times ISO 8601 in UTC. */
export function backupJson(backup: BackupRecord): { readonly [key: string]: Json } {
  return {
    label: backup.label,
    type: backup.type,
    identity: formatIdentity(backup.identity),
    majorVersion: backup.identity.majorVersion,
    systemIdentifier: backup.identity.systemIdentifier.toString(),
    timeline: backup.timeline,
    startLsn: formatLsn(backup.startLsn),
    stopLsn: formatLsn(backup.stopLsn),
    startTime: backup.startTime.toISOString(),
    stopTime: backup.stopTime.toISOString(),
    walSegmentSize: backup.walSegmentSize,
    source: backup.source,
    method: backup.method,
    serverVersion: backup.serverVersion,
    dataChecksums: backup.dataChecksums,
    encrypted: backup.encrypted,
    tablespaces: backup.tablespaces.map((tablespace) => ({
      oid: tablespace.oid,
      location: tablespace.location ?? null,
    })),
    files: backup.files,
    bytes: backup.bytes,
    storedBytes: backup.storedBytes,
    packs: backup.packs,
    badPages: backup.badPages,
    host: backup.host,
    pgark: backup.pgark,
  };
}

export function catalogJson(catalog: Catalog, window: readonly WindowInterval[]): { readonly [key: string]: Json } {
  const segments = (interval: WalInterval): Json => ({
    ...walJson(interval, catalog.walSegmentSize),
    archivedAt: interval.archivedAt.toISOString(),
  });
  return {
    identity: formatIdentity(catalog.identity),
    walSegmentSize: catalog.walSegmentSize,
    backups: catalog.backups.map(backupJson),
    wal: catalog.wal.map(segments),
    window: window.map(windowJson),
  };
}

export function targetJson(target: RecoveryTarget): { readonly [key: string]: Json } {
  switch (target.kind) {
    case "time":
      return { kind: "time", time: target.time.toISOString(), text: target.text, inclusive: target.inclusive };
    case "lsn":
      return { kind: "lsn", lsn: formatLsn(target.lsn), inclusive: target.inclusive };
    case "xid":
      return { kind: "xid", xid: target.xid, inclusive: target.inclusive };
    case "name":
      return { kind: "name", name: target.name };
    case "latest":
    case "immediate":
      return { kind: target.kind };
  }
}

export function planJson(plan: RecoveryPlan): { readonly [key: string]: Json } {
  return {
    kind: "plan",
    backup: backupJson(plan.backup),
    target: targetJson(plan.target),
    timeline: plan.timeline,
    path: plan.path,
    wal: plan.wal.map((need) => walJson(need, plan.backup.walSegmentSize)),
    segments: plan.segments,
    bytes: plan.bytes,
    proven: plan.proven,
    unproven: plan.unproven,
    skipped: plan.skipped.map(({ label, reason }) => ({ label, reason })),
  };
}

export function refusalJson(refusal: RecoveryRefusal): { readonly [key: string]: Json } {
  return {
    kind: "refusal",
    reason: refusal.reason,
    message: refusal.message,
    hint: refusal.hint ?? null,
    missingSegment: refusal.missingSegment ?? null,
    before: refusal.before === undefined ? null : momentJson(refusal.before),
    after: refusal.after === undefined ? null : momentJson(refusal.after),
    window: refusal.window.map(windowJson),
    skipped: refusal.skipped.map(({ label, reason }) => ({ label, reason })),
  };
}

export function windowJson(interval: WindowInterval): { readonly [key: string]: Json } {
  return {
    timeline: interval.timeline,
    from: momentJson(interval.from),
    to: momentJson(interval.to),
    backup: interval.backup,
  };
}

function momentJson(moment: ReachableMoment): { readonly [key: string]: Json } {
  return { timeline: moment.timeline, lsn: formatLsn(moment.lsn), time: moment.time?.toISOString() ?? null };
}

export function walJson(need: WalNeed, segmentSize: number): { readonly [key: string]: Json } {
  return {
    timeline: need.timeline,
    first: segmentFileName(need.timeline, need.first, segmentSize),
    last: segmentFileName(need.timeline, need.last, segmentSize),
    segments: Number(need.last - need.first + 1n),
  };
}
