import type { Repository } from "../repository/repository.ts";
import { applyDeletion } from "../retention/apply-deletion.ts";
import type { Applied, Deletion } from "../retention/apply-deletion.ts";
import type { CommandRun } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { withProgress } from "./with-progress.ts";
import { graceOf } from "./retention-settings.ts";
import type { HeldLease } from "./with-lease.ts";

/** Deletes, and shows how far it is. */
export async function deleteWithProgress(
  run: CommandRun,
  repository: Repository,
  deletion: Deletion,
  held: HeldLease & { readonly expectedBytes: number },
): Promise<Applied> {
  const { settings, io, log } = run;
  return withProgress(run, ({ onProgress }) =>
    applyDeletion(repository, deletion, {
      ...held,
      graceMs: graceOf(settings.values),
      // What is really there may be more than what records say of it.
      onProgress: (done) => onProgress({ ...done, totalBytes: Math.max(done.doneBytes, held.expectedBytes) }),
      log,
      signal: io.signal,
    }),
  );
}

/** 1 when something that was to go is still there. */
export function exitCodeOf(applied: readonly Applied[]): number {
  const isWhole = applied.every(({ stayed, backupsStayed }) => stayed.count === 0 && backupsStayed.length === 0);
  return isWhole ? EXIT.ok : EXIT.failed;
}
