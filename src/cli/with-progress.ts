import type { CommandRun } from "./command.ts";
import { createProgress } from "./progress.ts";
import type { ProgressDisplay } from "./progress.ts";
import { wantsJsonLog } from "./settings.ts";

/** Works, and shows how far it is, as the settings say. */
export async function withProgress<T>(
  { settings, io, log, screen }: CommandRun,
  work: (progress: ProgressDisplay) => Promise<T>,
): Promise<T> {
  const { values } = settings;
  const enabled = !values["no-progress"];
  const progress = await createProgress({ screen, log, now: io.now, enabled, facts: wantsJsonLog(values) });
  try {
    const result = await work(progress);
    progress.stop("done");
    return result;
  } catch (error) {
    progress.stop("failed");
    throw error;
  }
}
