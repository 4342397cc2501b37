import type { Measured } from "./measures.ts";
import { lastArchived, lastBackup, lengthOf, newestStretch, presentLife, walLag } from "./present-life.ts";
import type { StatusFacts } from "./status-facts.ts";

/** Takes what can have thresholds from the facts. Ages of what lies in the future, by another clock, are 0. */
export function measureStatus(facts: StatusFacts): Measured {
  const life = presentLife(facts);
  const backup = life === undefined ? undefined : lastBackup(life);
  const age = (time: Date | undefined): number | undefined =>
    time === undefined ? undefined : Math.max(0, facts.now.getTime() - time.getTime());
  const backlog = facts.backlog.known ? facts.backlog.value : undefined;
  return {
    "backup-age": age(backup?.stopTime),
    "wal-age": age(life && lastArchived(life.catalog)?.archivedAt),
    "wal-lag": walLag(life, facts.server),
    backlog: backlog?.files,
    "backlog-age": backlog === undefined ? undefined : (age(backlog.oldest?.since) ?? 0),
    window: life && lengthOf(newestStretch(life)),
    // What was never verified is as old as the repository's first word of the cluster.
    "verify-age": age(life?.verified?.finished ?? life?.created),
  };
}
