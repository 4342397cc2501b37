import { lsn } from "../../src/postgres/lsn.ts";
import type { Lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { TimelineHistory, TimelineId } from "../../src/postgres/timeline.ts";
import type { BackupRecord } from "../../src/repository/backup-record.ts";
import type { Catalog, WalInterval } from "../../src/repository/catalog.ts";

export const MIB = 1024 * 1024;

/** Every builder takes positions as segment numbers with fractions: 5.25 is a quarter into segment 5. */
export interface ArchiveSpec {
  readonly segmentSize?: number;
  /** by timeline: its ancestors and where each was left */
  readonly histories?: Readonly<Record<number, readonly (readonly [timeline: number, position: number])[]>>;
  /** by timeline: segments that are there, as "3-8 10" */
  readonly wal: Readonly<Record<number, string>>;
  readonly backups: readonly BackupSpec[];
  readonly partials?: readonly (readonly [timeline: number, segment: number])[];
}

export interface BackupSpec {
  readonly label: string;
  readonly timeline?: number;
  readonly start: number;
  readonly stop: number;
  /** what the clock showed, in segments as {@link clock} has it; the position when left out */
  readonly startClock?: number;
  readonly stopClock?: number;
  readonly source?: "primary" | "standby";
  readonly segmentSize?: number;
}

/** Ten minutes a segment, never on a whole second. Segment n is archived at `clock(n + 1)`. */
export function clock(position: number): Date {
  return new Date(Date.UTC(2026, 10, 20, 0, 0, 0, 7) + Math.round(position * 600) * 1000);
}

export function at(position: number, segmentSize = 16 * MIB): Lsn {
  return lsn(BigInt(Math.round(position * segmentSize)));
}

export function buildCatalog(spec: ArchiveSpec): Catalog {
  const segmentSize = spec.segmentSize ?? 16 * MIB;
  const histories = new Map<TimelineId, TimelineHistory>();
  for (const [timeline, ancestors] of Object.entries(spec.histories ?? {})) {
    histories.set(timelineId(Number(timeline)), {
      timeline: timelineId(Number(timeline)),
      ancestors: ancestors.map(([parent, position]) => ({
        timeline: timelineId(parent),
        switchPoint: at(position, segmentSize),
        reason: "no recovery target specified",
      })),
    });
  }
  return {
    identity: { majorVersion: 17, systemIdentifier: 7412345678901234567n },
    walSegmentSize: segmentSize,
    backups: spec.backups
      .map((backup) => buildBackup(backup, segmentSize))
      .toSorted((a, b) => a.stopTime.getTime() - b.stopTime.getTime()),
    histories,
    wal: Object.entries(spec.wal).flatMap(([timeline, text]) => intervals(timelineId(Number(timeline)), text)),
    partials: (spec.partials ?? []).map(([timeline, segment]) => ({
      timeline: timelineId(timeline),
      segment: BigInt(segment),
    })),
  };
}

function intervals(timeline: TimelineId, text: string): readonly WalInterval[] {
  return text
    .split(" ")
    .filter((part) => part !== "")
    .map((part) => {
      const [first = "", last = first] = part.split("-");
      return { timeline, first: BigInt(first), last: BigInt(last), archivedAt: clock(Number(last) + 1) };
    });
}

export function buildBackup(spec: BackupSpec, segmentSize: number): BackupRecord {
  return {
    label: spec.label,
    type: "full",
    identity: { majorVersion: 17, systemIdentifier: 7412345678901234567n },
    timeline: timelineId(spec.timeline ?? 1),
    startLsn: at(spec.start, segmentSize),
    stopLsn: at(spec.stop, segmentSize),
    startTime: clock(spec.startClock ?? spec.start),
    stopTime: clock(spec.stopClock ?? spec.stop),
    walSegmentSize: spec.segmentSize ?? segmentSize,
    source: spec.source ?? "primary",
    method: "local",
    serverVersion: "17.10",
    dataChecksums: true,
    encrypted: false,
    tablespaces: [],
    files: 1000,
    bytes: 30_000_000,
    storedBytes: 5_000_000,
    packs: 1,
    badPages: 0,
    manifest: { sha256: "00".repeat(32), size: 1 },
    host: "db1",
    pgark: "0.1.0",
  };
}
