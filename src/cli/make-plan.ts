import type { Catalog } from "../repository/catalog.ts";
import type { Repository } from "../repository/repository.ts";
import { planRecovery } from "../restore/plan-recovery.ts";
import type { RecoveryPlan, RecoveryRefusal } from "../restore/recovery-plan.ts";
import { parseRecoveryTarget, parseTargetTimeline } from "../restore/recovery-target.ts";
import { loadLife } from "./choose-life.ts";
import type { CommandRun } from "./command.ts";
import { planJson, refusalJson } from "./json-shapes.ts";
import type { Json } from "./json-shapes.ts";
import { planText, refusalText } from "./plan-text.ts";

export interface Planned {
  readonly catalog: Catalog;
  readonly result: RecoveryPlan | RecoveryRefusal;
}

/** What `--to`, `--timeline`, `--backup` and `--exclusive` lead to. */
export async function makePlan(run: CommandRun, repository: Repository): Promise<Planned> {
  const { values } = run.settings;
  const request = {
    target: parseRecoveryTarget(values.to, { exclusive: values.exclusive, now: run.io.now() }),
    timeline: parseTargetTimeline(values.timeline),
    backup: values.backup,
  };
  const catalog = await loadLife(run, repository);
  return { catalog, result: planRecovery(catalog, request) };
}

export function plannedText(result: RecoveryPlan | RecoveryRefusal, run: CommandRun): string {
  return result.kind === "plan" ? planText(result, run.paint) : refusalText(result, run.paint);
}

export function plannedJson(result: RecoveryPlan | RecoveryRefusal): { readonly [key: string]: Json } {
  return result.kind === "plan" ? planJson(result) : refusalJson(result);
}
