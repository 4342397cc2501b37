import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { PgarkError } from "../../errors.ts";
import type { Catalog } from "../../repository/catalog.ts";
import type { Repository } from "../../repository/repository.ts";
import { applyRestore } from "../../restore/apply-restore.ts";
import type { RecoveryPlan } from "../../restore/recovery-plan.ts";
import { spoolFolder, wipeSpool } from "../../spool/spool-folder.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import { makePlan, plannedJson, plannedText } from "../make-plan.ts";
import { restoredText } from "../restored-text.ts";
import type { Restored } from "../restored-text.ts";
import { restoreCommand } from "../wal-commands.ts";
import { withProgress } from "../with-progress.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark restore <pgdata>`: plans, says so, and does it. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io } = run;
  const pgdata = resolve(io.cwd, run.args[0] ?? "");
  const { json } = settings.values;
  return withRepository(run, { keys: "all" }, async (repository) => {
    const { catalog, result } = await makePlan(run, repository);
    const done = result.kind === "refusal" || settings.values["dry-run"];
    // The plan comes before the deed; a machine gets one answer, at the end.
    if (!json || done) {
      await run.print({
        json: () => ({ plan: plannedJson(result), restored: null }),
        text: () => plannedText(result, run),
      });
    }
    if (result.kind === "refusal") return EXIT.refused;
    if (done) return EXIT.ok;
    requireIdentity(run, repository);
    const restored = await apply(run, repository, catalog, result, pgdata);
    await run.print({
      json: () => ({ plan: plannedJson(result), restored }),
      text: () => restoredText(restored, settings, run.paint),
    });
    return EXIT.ok;
  });
}

/** Found out before anything is written: the host's own key opens manifests, which the plan needs, but no data. */
function requireIdentity(run: CommandRun, repository: Repository): void {
  if (!repository.encrypted || run.settings.values["identity-file"] !== undefined) return;
  throw new PgarkError("no-identity", "the cluster is encrypted, and no identity was given", {
    operation: "restore",
    object: repository.cluster,
    hint: "bring the identity that pgark init --encrypt made to a file here, and name it: --identity-file",
  });
}

async function apply(
  run: CommandRun,
  repository: Repository,
  catalog: Catalog,
  plan: RecoveryPlan,
  pgdata: string,
): Promise<Restored> {
  const { settings, io, log } = run;
  const { values } = settings;
  const command = restoreCommand(settings, io, { partial: needsPartial(catalog, plan) });
  return withProgress(run, async ({ onProgress }) => {
    const applied = await applyRestore(repository, plan, {
      pgdata,
      tablespaces: values.tablespace ?? new Map<string, string>(),
      jobs: values.jobs ?? defaultJobs(io.processors),
      action: values.action,
      standby: values.standby,
      archiving: values.archiving === "on",
      restoreCommand: command,
      ...(values.waldir === undefined ? {} : { waldir: values.waldir }),
      log,
      onProgress,
      signal: io.signal,
    });
    await wipeSpoolOf(run, pgdata);
    return {
      pgdata,
      files: applied.files,
      bytes: applied.bytes,
      settings: applied.settings,
      archiving: values.archiving === "on",
    };
  });
}

/** What was archived from, or fetched for, an earlier cluster in this place is of no use now; to lose it costs nothing. */
async function wipeSpoolOf({ settings, log }: CommandRun, pgdata: string): Promise<void> {
  const { spool } = settings.values;
  if (spool === "off") return;
  try {
    await wipeSpool(spoolFolder(spool, await realpath(pgdata)));
  } catch (error) {
    log.debug("the spool could not be wiped", { error });
  }
}

/** Whether replay to the end of the target timeline runs into a segment of which only a `.partial` was archived. */
export function needsPartial(catalog: Catalog, plan: RecoveryPlan): boolean {
  const last = plan.wal.filter((need) => need.timeline === plan.timeline).at(-1)?.last;
  return (
    last !== undefined &&
    catalog.partials.some((partial) => partial.timeline === plan.timeline && partial.segment === last + 1n)
  );
}
