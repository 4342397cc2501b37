import { PgarkError } from "../errors.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog } from "../repository/catalog.ts";
import { knownTimelines } from "../repository/timeline-path.ts";
import { holdingPins } from "./choose-backups.ts";
import type { RetentionFacts } from "./retention-plan.ts";
import type { WalRange } from "./wal-range.ts";

/** All there is of one timeline. */
export interface ForgottenTimeline {
  readonly timeline: TimelineId;
  readonly backups: readonly BackupRecord[];
  readonly wal: readonly WalRange[];
  readonly partials: readonly { readonly timeline: TimelineId; readonly segment: bigint }[];
  /**
   * Whether its history goes. It stays while there is a younger timeline: PostgreSQL asks for one history after the other to find
   * the number of a new timeline, and would give this one twice, below the younger ones.
   */
  readonly history: boolean;
}

/** Decides what goes with a timeline. Throws `refused` when something that stays needs it, `not-found` when there is none. */
export function planForgetTimeline(facts: RetentionFacts, timeline: TimelineId): ForgottenTimeline {
  const { catalog, running } = facts;
  const known = knownTimelines(catalog);
  if (!known.includes(timeline)) throw notFound(timeline, known);
  const refuse = (problem: string, hint: string): never => {
    throw new PgarkError("refused", problem, {
      operation: "forget timeline",
      object: `timeline ${timeline} of ${formatIdentity(catalog.identity)}`,
      hint,
    });
  };
  const child = youngerOf(catalog, timeline, known.at(-1));
  if (child !== undefined) {
    refuse(`timeline ${child} comes from it`, "what lies on a younger timeline is restored by way of this one");
  }
  const backups = catalog.backups.filter((backup) => backup.timeline === timeline);
  const isNewest = timeline === known.at(-1);
  if (isNewest && backups.length > 0) {
    refuse(
      "it is the newest timeline, and backups were taken on it: a server seems to be on it",
      "if it should never have been, delete its backups first, one by one: pgark delete <label>",
    );
  }
  const pinned = holdingPins(facts).find((pin) => backups.some(({ label }) => label === pin.label));
  if (pinned !== undefined) refuse(`backup ${pinned.label} on it is pinned`, `pgark unkeep ${pinned.label} lets it go`);
  const atWork = running.find(({ walFrom }) => walFrom === undefined || walFrom.timeline === timeline);
  if (atWork !== undefined) {
    refuse(`backup ${atWork.label} is being taken, maybe of it`, "wait for it to end");
  }
  return {
    timeline,
    backups,
    wal: catalog.wal.filter((interval) => interval.timeline === timeline),
    partials: catalog.partials.filter((partial) => partial.timeline === timeline),
    history: isNewest && catalog.histories.has(timeline),
  };
}

/**
 * A timeline that comes from this one. Where nothing but a history is left of it, it was forgotten; but the newest one may have
 * begun just now.
 */
function youngerOf(
  { histories, wal, backups }: Catalog,
  timeline: TimelineId,
  newest: TimelineId | undefined,
): TimelineId | undefined {
  const filled = new Set([newest, ...[...wal, ...backups].map((each) => each.timeline)]);
  return [...histories.values()].find(
    (history) => filled.has(history.timeline) && history.ancestors.some((ancestor) => ancestor.timeline === timeline),
  )?.timeline;
}

function notFound(timeline: TimelineId, known: readonly TimelineId[]): PgarkError {
  return new PgarkError("not-found", "there is nothing of this timeline", {
    operation: "forget timeline",
    object: String(timeline),
    hint: known.length === 0 ? "there is none at all" : `there is something of ${known.join(", ")}`,
  });
}
