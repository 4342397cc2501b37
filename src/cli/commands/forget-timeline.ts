import { parseTimelineId } from "../../postgres/timeline.ts";
import type { TimelineId } from "../../postgres/timeline.ts";
import type { Repository } from "../../repository/repository.ts";
import { recoveryWindow } from "../../restore/recovery-window.ts";
import { planForgetTimeline } from "../../retention/forget-timeline.ts";
import { walOfBackup } from "../../retention/wal-range.ts";
import { chooseIdentity } from "../choose-life.ts";
import type { CommandRun } from "../command.ts";
import { emptyDeletion, refuse, runProposed } from "../proposed-deletion.ts";
import type { ProposedDeletion } from "../proposed-deletion.ts";
import { loadRetainedLife, refuseUnreadable, retentionFacts } from "../retained-life.ts";
import { graceOf } from "../retention-settings.ts";

const operation = "forget timeline";

/** `pgark forget-timeline <timeline>`: all there is of one timeline. */
export async function main(run: CommandRun): Promise<number> {
  const timeline = parseTimelineId(run.args[0] ?? "");
  graceOf(run.settings.values);
  return runProposed(run, `forget timeline ${timeline}`, (repository, now) => propose(run, repository, timeline, now));
}

async function propose(
  run: CommandRun,
  repository: Repository,
  timeline: TimelineId,
  now: Date,
): Promise<ProposedDeletion> {
  // A timeline's number says nothing about which life it is of.
  const life = await loadRetainedLife(run, repository, await chooseIdentity(run, repository, operation));
  refuseUnreadable(life, operation);
  const { catalog } = life;
  const forgotten = planForgetTimeline(retentionFacts(life, graceOf(run.settings.values), now), timeline);
  const histories = new Map(catalog.histories);
  if (forgotten.history) histories.delete(timeline);
  const after = {
    ...catalog,
    histories,
    backups: catalog.backups.filter((backup) => !forgotten.backups.includes(backup)),
    wal: catalog.wal.filter((interval) => interval.timeline !== timeline),
    partials: catalog.partials.filter((partial) => partial.timeline !== timeline),
  };
  if (recoveryWindow(catalog).length > 0 && recoveryWindow(after).length === 0) {
    throw refuse(
      operation,
      `timeline ${timeline}`,
      "nothing could be restored afterwards",
      "take a backup first: pgark backup",
    );
  }
  return {
    life,
    deletion: {
      ...emptyDeletion(life),
      backups: forgotten.backups.map((record) => ({ label: record.label, wal: walOfBackup(record) })),
      wal: forgotten.wal,
      partials: forgotten.partials,
      histories: forgotten.history ? [timeline] : [],
      walKept: new Map([[timeline, []]]),
    },
    after,
    backupBytes: forgotten.backups.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
  };
}
