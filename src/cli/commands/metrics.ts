import { collectMetrics } from "../collect-metrics.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { replaceFile } from "../replace-file.ts";

/** `pgark metrics`: once, to standard output or into a file. */
export async function main(run: CommandRun): Promise<number> {
  const { output } = run.settings.values;
  const { text, error } = await collectMetrics(run);
  if (output !== undefined) await replaceFile(output, text);
  if (error !== undefined) throw error;
  if (output === undefined) run.io.stdout.write(text);
  return EXIT.ok;
}
