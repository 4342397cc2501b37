import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { makePlan, plannedJson, plannedText } from "../make-plan.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark plan`: what a restore would do, or why it would not. */
export async function main(run: CommandRun): Promise<number> {
  const { result } = await withRepository(run, { keys: "all" }, (repository) => makePlan(run, repository));
  await run.print({ json: () => plannedJson(result), text: () => plannedText(result, run) });
  return result.kind === "plan" ? EXIT.ok : EXIT.refused;
}
