import { formatLsn } from "../postgres/lsn.ts";
import { formatTimeline } from "../postgres/timeline.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog } from "../repository/catalog.ts";
import { nameOf } from "./reach-target.ts";
import type { Obstacle } from "./reach-target.ts";
import type {
  ReachableMoment,
  RecoveryRefusal,
  RecoveryTarget,
  RefusalReason,
  SkippedBackup,
} from "./recovery-plan.ts";
import { momentsAround, momentsAroundTime, recoveryWindow } from "./recovery-window.ts";
import type { Neighbours } from "./recovery-window.ts";
import { targetIsInside } from "./select-backup.ts";
import type { PathFacts, RejectedBackup } from "./select-backup.ts";
import { knownTimelines } from "../repository/timeline-path.ts";

interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
  readonly hints: readonly (string | undefined)[];
  readonly missingSegment?: string;
  readonly around?: Neighbours;
  readonly skipped?: readonly SkippedBackup[];
}

function refuse(catalog: Catalog, { reason, message, hints, ...details }: Refusal): RecoveryRefusal {
  const said = hints.filter((hint) => hint !== undefined);
  return {
    kind: "refusal",
    reason,
    message,
    hint: said.length === 0 ? undefined : said.join("; "),
    missingSegment: details.missingSegment,
    before: details.around?.before,
    after: details.around?.after,
    window: recoveryWindow(catalog),
    skipped: (details.skipped ?? []).map(({ label, reason: why }) => ({ label, reason: why })),
  };
}

export function refuseNoBackup(catalog: Catalog): RecoveryRefusal {
  const message = "the cluster has no complete backup, so nothing can be restored";
  return refuse(catalog, { reason: "no-backup", message, hints: ["take one with pgark backup"] });
}

export function refuseUnknownBackup(catalog: Catalog, label: string): RecoveryRefusal {
  const newest = catalog.backups.at(-1);
  const hints = [
    "pgark list shows the backups; without --backup the best one is chosen",
    newest && `the newest is ${newest.label}`,
  ];
  return refuse(catalog, { reason: "unknown-backup", message: `there is no backup "${label}"`, hints });
}

export function refuseUnknownTimeline(catalog: Catalog, timeline: TimelineId): RecoveryRefusal {
  const known = knownTimelines(catalog).join(", ");
  const message = `timeline ${timeline} does not exist in the archive`;
  return refuse(catalog, {
    reason: "unknown-timeline",
    message,
    hints: [`--timeline takes latest, current or one of ${known}`],
  });
}

/** No backup lies on the path. Most often the newest timeline is an accidental promotion of an old copy. */
export function refuseUnreachable(facts: PathFacts): RecoveryRefusal {
  const { catalog, path, rejected } = facts;
  const { timeline } = path;
  const newest = rejected[0];
  const history = `${formatTimeline(timeline)}.history`;
  const lost = `its history ${history} is not in the archive and no backup was taken on it`;
  const apart = newest === undefined ? "there is none" : `the newest, ${newest.label}, does not: ${newest.reason}`;
  return refuse(catalog, {
    reason: "timeline-unreachable",
    message: path.historyMissing
      ? `timeline ${timeline} cannot be reached: ${lost}`
      : `no backup leads to timeline ${timeline}; ${apart}`,
    hints: [
      path.historyMissing
        ? `push ${history} from the pg_wal of a server that has been on timeline ${timeline}`
        : undefined,
      branchHint(newest),
    ],
    skipped: rejected,
  });
}

/** The named backup is not on the path. */
export function refuseRejected(facts: PathFacts, rejected: RejectedBackup): RecoveryRefusal {
  return refuse(facts.catalog, {
    reason: "timeline-unreachable",
    message: `backup ${rejected.label} does not lead to timeline ${facts.path.timeline}: ${rejected.reason}`,
    hints: [branchHint(rejected), "without --backup the best backup for the target is chosen"],
    skipped: [rejected],
  });
}

function branchHint(rejected: RejectedBackup | undefined): string | undefined {
  if (rejected === undefined) return undefined;
  return `--timeline current, or --timeline ${rejected.backup.timeline}, stays on the branch of backup ${rejected.label}`;
}

/** The named backup ends after the target. */
export function refuseTooLate(facts: PathFacts, backup: BackupRecord, target: RecoveryTarget): RecoveryRefusal {
  const inside = targetIsInside(backup, target) ? ", and the target lies inside it" : "";
  return refuse(facts.catalog, {
    reason: "backup-too-late",
    message: `backup ${backup.label} is consistent only from its end at ${endOf(backup)}, which is after the target${inside}`,
    hints: [
      "without --backup the newest backup that ends before the target is chosen",
      "--to immediate stops at the backup's end",
    ],
    around: around(facts, target),
  });
}

/** Every backup ends after the target. */
export function refuseBeforeWindow(
  facts: PathFacts,
  target: RecoveryTarget,
  skipped: readonly SkippedBackup[],
): RecoveryRefusal {
  const neighbours = around(facts, target);
  const oldest = facts.candidates.at(-1)?.backup;
  const inside = facts.candidates.find(({ backup }) => targetIsInside(backup, target))?.backup;
  const first =
    inside === undefined
      ? `the target lies before the end of the first backup, ${oldest?.label ?? "none"}, at ${oldest ? endOf(oldest) : "none"}`
      : `the target lies inside backup ${inside.label}, which is consistent only from its end at ${endOf(inside)}, and no older backup leads to it`;
  return refuse(facts.catalog, {
    reason: "before-window",
    message: first,
    hints: [
      momentHint("the first moment that can be reached is", neighbours.after),
      "--to immediate stops at the end of a backup",
    ],
    around: neighbours,
    skipped: [...skipped, ...facts.rejected],
  });
}

/** WAL is missing between every fit backup and the target, or ends before the target. */
export function refuseObstacle(
  facts: PathFacts,
  target: RecoveryTarget,
  obstacle: Obstacle,
  options: { readonly otherBackup: string | undefined; readonly skipped: readonly SkippedBackup[] },
): RecoveryRefusal {
  const { reason, message, missing, candidate } = obstacle;
  const neighbours =
    target.kind === "time" || target.kind === "lsn" ? around(facts, target) : momentsAround(facts, candidate.run.end);
  const other = options.otherBackup;
  const parent = candidate.run.strays ?? parentBefore(facts, obstacle);
  return refuse(facts.catalog, {
    reason,
    message,
    hints: [
      other === undefined ? undefined : `without --backup the target can be reached, from backup ${other}`,
      reason === "after-window"
        ? "--to latest recovers all that is archived, pg_switch_wal() makes a running server archive the rest"
        : undefined,
      parent === undefined
        ? undefined
        : `--timeline ${parent} follows timeline ${parent} itself instead of going over to ${missing.timeline}`,
      momentHint("the nearest moment before is", neighbours.before),
      momentHint("the nearest moment after is", neighbours.after),
    ],
    ...(reason === "wal-missing" ? { missingSegment: nameOf(facts, missing) } : {}),
    around: neighbours,
    skipped: [...options.skipped, ...facts.rejected],
  });
}

/** The timeline that replay was on when the beginning of the next one was missing. */
function parentBefore({ path }: PathFacts, { candidate, missing }: Obstacle): TimelineId | undefined {
  const reading = candidate.run.pieces.at(-1)?.timeline;
  const isParent = reading !== undefined && reading !== missing.timeline && path.timeline !== reading;
  return isParent ? reading : undefined;
}

function around(facts: PathFacts, target: RecoveryTarget): Neighbours {
  switch (target.kind) {
    case "time":
      return momentsAroundTime(facts, target.time.getTime());
    case "lsn":
      return momentsAround(facts, target.lsn);
    default:
      return { before: undefined, after: undefined };
  }
}

function momentHint(lead: string, moment: ReachableMoment | undefined): string | undefined {
  if (moment === undefined) return undefined;
  const time = moment.time === undefined ? "" : ` (${moment.time.toISOString()})`;
  return `${lead} --timeline ${moment.timeline} --to lsn:${formatLsn(moment.lsn)}${time}`;
}

function endOf(backup: BackupRecord): string {
  return `${formatLsn(backup.stopLsn)} (${backup.stopTime.toISOString()})`;
}
