import { isPgarkError } from "../../errors.ts";
import { assessStatus } from "../../status/assess-status.ts";
import { resolveThresholds } from "../../status/measures.ts";
import { checkLine, checkStatus, unknownLine } from "../check-line.ts";
import { collectStatus } from "../collect-status.ts";
import type { CommandRun } from "../command.ts";
import { CHECK_EXIT, EXIT } from "../exit-codes.ts";
import { statusJson } from "../status-json.ts";
import { statusText } from "../status-text.ts";

/** `pgark status`: how things stand; with `--check`, for monitoring. */
export async function main(run: CommandRun): Promise<number> {
  return run.settings.values.check ? check(run) : tell(run);
}

async function tell(run: CommandRun): Promise<number> {
  const { facts, assessment } = await assess(run);
  await run.print({
    json: () => statusJson(facts, assessment),
    text: () => statusText(facts, assessment, run.paint),
  });
  return EXIT.ok;
}

/** What cannot be found out is an answer too: monitoring reads standard output. */
async function check(run: CommandRun): Promise<number> {
  try {
    const { facts, assessment } = await assess(run);
    await run.print({
      json: () => statusJson(facts, assessment),
      text: () => checkLine(facts.cluster, assessment),
    });
    return CHECK_EXIT[checkStatus(assessment)];
  } catch (error) {
    if (isPgarkError(error)) run.io.stdout.write(unknownLine(error.message));
    throw error;
  }
}

async function assess(run: CommandRun) {
  const { warn, crit } = run.settings.values;
  const facts = await collectStatus(run, { walSizes: false });
  return { facts, assessment: assessStatus(facts, resolveThresholds(warn, crit)) };
}
