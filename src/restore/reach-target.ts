import { formatLsn, lsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { segmentFileName, segmentNumberOfLsn, segmentStart } from "../postgres/wal-file-name.ts";
import type { RecoveryTarget } from "./recovery-plan.ts";
import { lastTargetTime, positionPastTime } from "./select-backup.ts";
import type { Candidate, PathFacts } from "./select-backup.ts";
import { hasWal, knownEnd, walBeyond } from "./wal-coverage.ts";
import type { SegmentRef, WalRun } from "./wal-coverage.ts";

/** The archive carries a backup to the target, as far as can be known before replay. */
export interface Reach {
  readonly kind: "reach";
  /** replay reads the WAL before this position, or stops in it */
  readonly end: Lsn;
  readonly proven: readonly string[];
  readonly unproven: readonly string[];
}

/** Why it does not. */
export interface Obstacle {
  readonly kind: "obstacle";
  readonly reason: "wal-missing" | "after-window";
  readonly message: string;
  readonly candidate: Candidate;
  readonly missing: SegmentRef;
}

/** Decides whether replay from `candidate`, which ends before the target, meets the target. */
export function reachTarget(facts: PathFacts, candidate: Candidate, target: RecoveryTarget): Reach | Obstacle {
  const { backup, run } = candidate;
  if (run.end < backup.stopLsn) {
    const own = `backup ${backup.label} cannot be restored: segment ${nameOf(facts, run.missing)}, which it needs to become consistent, is missing`;
    return obstacle(facts, candidate, "wal-missing", own);
  }
  switch (target.kind) {
    case "immediate":
      return reach(
        backup.stopLsn,
        [`recovery ends where the backup becomes consistent, at ${formatLsn(backup.stopLsn)}`],
        [],
      );
    case "latest":
      return reachLatest(facts, candidate);
    case "lsn":
      return reachLsn(facts, candidate, target.lsn);
    case "time":
      return reachTime(facts, candidate, target.time);
    case "xid":
      return reachUnknown(facts, candidate, `transaction ${target.xid}`, "ended");
    case "name":
      return reachUnknown(facts, candidate, `restore point "${target.name}"`, "was made");
  }
}

function reachLatest(facts: PathFacts, candidate: Candidate): Reach | Obstacle {
  const { run } = candidate;
  const end = knownEnd(facts.wal, facts.path, facts.catalog.walSegmentSize);
  if (run.end < end) return obstacle(facts, candidate, "wal-missing", missingMessage(facts, candidate));
  const proven = `WAL of timeline ${facts.path.timeline} has no hole up to its last archived byte, ${lastByte(run)}`;
  const partial = partialName(facts, run.missing);
  const unproven =
    partial === undefined ? [] : [`what ${partial} holds beyond the last whole segment: it is not counted`];
  return reach(run.end, [proven], unproven);
}

/**
 * A target LSN is met at the first record that begins at or after it, whether that record is then replayed (inclusive) or not,
 * so the segment that holds the byte at the target must be there in both cases. On a segment boundary that is the segment
 * that begins there: no record starts with a page header, the next one begins behind it.
 */
function reachLsn(facts: PathFacts, candidate: Candidate, target: Lsn): Reach | Obstacle {
  const { walSegmentSize } = facts.catalog;
  const { run } = candidate;
  if (run.end <= target) {
    return isHole(facts, candidate)
      ? obstacle(facts, candidate, "wal-missing", missingMessage(facts, candidate))
      : obstacle(
          facts,
          candidate,
          "after-window",
          `the target ${formatLsn(target)} lies after ${endMessage(candidate)}`,
        );
  }
  const segment = segmentNumberOfLsn(target, walSegmentSize);
  const end = smallest(segmentStart(segment + 1n, walSegmentSize), run.end);
  const record = `whether a record begins between ${formatLsn(target)} and ${formatLsn(end)}, where the WAL`;
  const failure = "without one PostgreSQL ends recovery with an error";
  return reach(
    end,
    [`the segment that holds ${formatLsn(target)} is there, and all before it`],
    end < run.end
      ? []
      : [`${record} ${run.strays === undefined ? "ends" : "of the next timeline is missing"}: ${failure}`],
  );
}

function reachTime(facts: PathFacts, candidate: Candidate, time: Date): Reach | Obstacle {
  const { backup, run } = candidate;
  const last = lastTargetTime(facts, run);
  if (last === undefined || time.getTime() > last) {
    return isHole(facts, candidate)
      ? obstacle(facts, candidate, "wal-missing", missingMessage(facts, candidate))
      : obstacle(
          facts,
          candidate,
          "after-window",
          `the target ${time.toISOString()} lies after ${endMessage(candidate)}`,
        );
  }
  const past = positionPastTime(facts, candidate, time);
  const unproven = [
    "whether a transaction ended after the target: without one in the WAL PostgreSQL ends recovery with an error",
  ];
  if (backup.source === "standby") {
    unproven.push("whether the standby's clock, which gave the backup its end time, agrees with the primary's");
  }
  if (past !== undefined) {
    const { walSegmentSize } = facts.catalog;
    const end = smallest(segmentStart(segmentNumberOfLsn(past, walSegmentSize) + 1n, walSegmentSize), run.end);
    const later = `all WAL up to the target is there: a backup that began after it, at ${formatLsn(past)}, lies within the WAL`;
    return reach(end, [later], unproven);
  }
  const archived = run.archivedAt === undefined ? "" : `, which was archived at ${run.archivedAt.toISOString()}`;
  unproven.push(
    `whether the WAL reaches the target: commit times are inside it; its last byte is ${lastByte(run)}${archived}`,
  );
  return reach(run.end, [], [...unproven, ...holeSentences(facts, candidate)]);
}

/** A target whose position only replay can tell. */
function reachUnknown(facts: PathFacts, candidate: Candidate, what: string, happened: string): Reach | Obstacle {
  const { backup, run } = candidate;
  if (run.strays !== undefined) return obstacle(facts, candidate, "wal-missing", missingMessage(facts, candidate));
  const between = `between ${formatLsn(backup.stopLsn)}, the end of the backup, and ${lastByte(run)}, the end of the WAL`;
  const unproven = [
    `whether ${what} ${happened} ${between}: if not, PostgreSQL ends recovery with an error; an earlier one needs an older backup (--backup)`,
  ];
  return reach(run.end, [], [...unproven, ...holeSentences(facts, candidate)]);
}

function holeSentences(facts: PathFacts, candidate: Candidate): readonly string[] {
  if (!isHole(facts, candidate)) return [];
  return [
    `whether the target lies before the hole: segment ${nameOf(facts, candidate.run.missing)} is missing, but WAL goes on after it`,
  ];
}

/**
 * Whether the run ends at a hole rather than at the end of the path's WAL. There is WAL after a run's end when some is
 * archived, when a backup ended there, and when the path's own timeline began there: its history says so.
 */
function isHole(facts: PathFacts, { run }: Candidate): boolean {
  const { catalog, wal, path, candidates } = facts;
  const size = catalog.walSegmentSize;
  if (walBeyond(wal, path, run.missing.number, size) !== undefined || !hasWal(wal, path.last, size)) return true;
  return run.strays !== undefined || candidates.some(({ backup }) => backup.stopLsn > run.end);
}

function missingMessage(facts: PathFacts, { backup, run }: Candidate): string {
  const name = nameOf(facts, run.missing);
  const { timeline } = run.missing;
  const size = facts.catalog.walSegmentSize;
  const { last } = facts.path;
  const replay = `replay from backup ${backup.label} ends at ${lastByte(run)}`;
  if (timeline === last.timeline && !hasWal(facts.wal, last, size)) {
    return `timeline ${timeline} has a history but no WAL in the archive: its first segment ${name} is missing, and ${replay}`;
  }
  return `segment ${name} is missing: ${replay}, before the target`;
}

function endMessage({ run }: Candidate): string {
  const archived = run.archivedAt === undefined ? "" : ` and was archived at ${run.archivedAt.toISOString()}`;
  return `the end of the archived WAL, which is at ${lastByte(run)}${archived}`;
}

function obstacle(facts: PathFacts, candidate: Candidate, reason: Obstacle["reason"], problem: string): Obstacle {
  const { missing } = candidate.run;
  const partial = partialName(facts, missing);
  const note =
    partial === undefined ? "" : `; ${partial} is there, but holds no more than the beginning of that segment`;
  return { kind: "obstacle", reason, message: `${problem}${reason === "wal-missing" ? note : ""}`, candidate, missing };
}

function reach(end: Lsn, proven: readonly string[], unproven: readonly string[]): Reach {
  return { kind: "reach", end, proven, unproven };
}

/** The `.partial` copy of a segment on any timeline of the path. */
function partialName({ catalog, path }: PathFacts, { number }: SegmentRef): string | undefined {
  const legs = new Set(path.legs.map((leg) => leg.timeline));
  const partial = catalog.partials.find(({ timeline, segment }) => segment === number && legs.has(timeline));
  return partial && `${segmentFileName(partial.timeline, partial.segment, catalog.walSegmentSize)}.partial`;
}

export function nameOf({ catalog }: PathFacts, segment: SegmentRef): string {
  return segmentFileName(segment.timeline, segment.number, catalog.walSegmentSize);
}

/** Where a run ends, as the recovery window says it too: its last byte. */
function lastByte(run: WalRun): string {
  return formatLsn(lsn(run.end - 1n));
}

function smallest(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}
