import type { Repository } from "../repository/repository.ts";
import { applyDeletion } from "../retention/apply-deletion.ts";
import type { Applied, Deletion } from "../retention/apply-deletion.ts";
import type { CommandRun } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { createProgress } from "./progress.ts";
import { graceOf } from "./retention-settings.ts";
import { wantsJsonLog } from "./settings.ts";
import type { HeldLease } from "./with-lease.ts";

/** Deletes, and shows how far it is. */
export async function deleteWithProgress(
  run: CommandRun,
  repository: Repository,
  deletion: Deletion,
  held: HeldLease & { readonly expectedBytes: number },
): Promise<Applied> {
  const { settings, io, log, screen } = run;
  const { values } = settings;
  const progress = await createProgress({
    screen,
    log,
    now: io.now,
    enabled: !values["no-progress"],
    facts: wantsJsonLog(values),
  });
  try {
    const applied = await applyDeletion(repository, deletion, {
      ...held,
      graceMs: graceOf(values),
      // What is really there may be more than what records say of it.
      onProgress: (done) => progress.onProgress({ ...done, totalBytes: Math.max(done.doneBytes, held.expectedBytes) }),
      log,
      signal: io.signal,
    });
    progress.stop("done");
    return applied;
  } catch (error) {
    progress.stop("failed");
    throw error;
  }
}

/** 1 when something that was to go is still there. */
export function exitCodeOf(applied: readonly Applied[]): number {
  const isWhole = applied.every(({ stayed, backupsStayed }) => stayed.count === 0 && backupsStayed.length === 0);
  return isWhole ? EXIT.ok : EXIT.failed;
}
