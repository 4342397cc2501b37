import { PgarkError } from "../errors.ts";
import { sameIdentity } from "../postgres/cluster-identity.ts";
import type { Catalog } from "../repository/catalog.ts";
import { BackupAges } from "./backup-ages.ts";
import { chooseBackups, holdingPins } from "./choose-backups.ts";
import type { ChosenBackups } from "./choose-backups.ts";
import { checkPolicy, isEmptyPolicy } from "./policy.ts";
import type { RetentionPolicy } from "./policy.ts";
import type { BackupVerdict, RetentionFacts, RetentionPlan } from "./retention-plan.ts";
import { surveyCatalog } from "./survey.ts";
import type { Survey } from "./survey.ts";
import { judgeTimelines } from "./timeline-verdicts.ts";
import { walNeeded } from "./wal-needed.ts";
import { judgeWal } from "./wal-verdicts.ts";
import { newestFirst, openWindow } from "./window.ts";

/**
 * Decides what of one identity of a cluster stays under `policy`, and why. Pure: reads nothing but its arguments. The newest
 * backup that can be restored always stays, with all WAL from its start on; where none can be restored everything stays.
 * `docs/retention.md` has the rules. Throws `usage` for a policy that {@link checkPolicy} refuses, `refused` for a catalog that
 * mixes identities.
 */
export function evaluateRetention(facts: RetentionFacts, policy: RetentionPolicy): RetentionPlan {
  checkPolicy(policy);
  refuseMixture(facts.catalog);
  const survey = surveyCatalog(facts.catalog);
  if (isEmptyPolicy(policy)) return keepAll(facts, survey, "no-policy");
  if (survey.restorable.size === 0) return keepAll(facts, survey, "none-restorable");
  const ages = new BackupAges(survey, facts.now);
  const newest = newestFirst(survey, ages);
  const window = openWindow(facts, policy, survey, ages, newest);
  const chosen = chooseBackups(facts, policy, ages, newest, window);
  const judged = judgeWal(facts.catalog, walNeeded(facts, survey, window, chosen));
  return {
    backups: judgeBackups(survey, chosen),
    ...judged,
    timelines: judgeTimelines(survey, window, chosen, judged),
    windowBegin: new Date(window.promisedFrom),
    unknownPins: unknownPins(facts),
  };
}

/** Positions of one life of a cluster say nothing about those of another. */
function refuseMixture({ identity, backups }: Catalog): void {
  const foreign = backups.find((backup) => !sameIdentity(backup.identity, identity));
  if (foreign === undefined) return;
  throw new PgarkError("refused", "the backup belongs to another life of the cluster", {
    operation: "apply retention policy",
    object: foreign.label,
    hint: "each life of a cluster (major version and system identifier) has a retention of its own",
  });
}

function judgeBackups({ catalog, restorable }: Survey, chosen: ChosenBackups): readonly BackupVerdict[] {
  return catalog.backups.map((record) => {
    const backup = { record, restorable: restorable.has(record) };
    const reasons = chosen.get(record);
    if (reasons !== undefined) return { ...backup, verdict: "keep", reasons };
    return { ...backup, verdict: "expire", reason: backup.restorable ? "outside-policy" : "not-restorable" };
  });
}

function keepAll(facts: RetentionFacts, survey: Survey, kind: "no-policy" | "none-restorable"): RetentionPlan {
  const { catalog, paths, restorable } = survey;
  const reason = { kind };
  return {
    backups: catalog.backups.map((record) => ({
      record,
      restorable: restorable.has(record),
      verdict: "keep",
      reasons: [reason],
    })),
    wal: catalog.wal.map((interval) => ({ ...interval, verdict: "keep", reason })),
    partials: catalog.partials.map((partial) => ({ ...partial, verdict: "keep", reason })),
    timelines: paths.map(({ timeline }) => ({ timeline, verdict: "keep", inUse: true })),
    windowBegin: undefined,
    unknownPins: unknownPins(facts),
  };
}

function unknownPins(facts: RetentionFacts): RetentionPlan["unknownPins"] {
  const labels = new Set(facts.catalog.backups.map(({ label }) => label));
  return holdingPins(facts).filter(({ label }) => !labels.has(label));
}
