import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Severity } from "./measures.ts";

/** Kinds of what a status can find; docs/monitoring.md has them all. They never change their meaning. */
export type FindingCode =
  | "no-life"
  | "unknown-life"
  | "no-backup"
  | "not-restorable"
  | "newest-lost"
  | "hole"
  | "hole-acknowledged"
  | "backup-damaged"
  | "backup-bad-pages"
  | "backup-abandoned"
  | "backup-old"
  | "wal-old"
  | "wal-lag"
  | "backlog"
  | "archiving-off"
  | "archiving-failing"
  | "conflict"
  | "repository-ahead"
  | "archiver-stopped"
  | "repository-lagging"
  | "window-short"
  | "verify-old"
  | "verify-faults"
  | "verify-unknown"
  | "retention-refused"
  | "clocks-differ"
  | "not-asked";

/** One thing that is not as it should be, and what to do about it. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  /** the life that it is about; undefined for the cluster as a whole */
  readonly identity: ClusterIdentity | undefined;
  /** what it is about: a label, a segment, a URL */
  readonly object: string | undefined;
  /** a sentence, lower case, without a full stop */
  readonly problem: string;
  /** what a person can do, likewise */
  readonly todo: string;
}

const ORDER: readonly Severity[] = ["critical", "warning", "info"];

/** Worst first; otherwise as they were found. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
}

export function worst(severities: readonly (Severity | undefined)[]): Severity | undefined {
  return ORDER.find((severity) => severities.includes(severity));
}
