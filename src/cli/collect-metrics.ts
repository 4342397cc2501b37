import { isPgarkError } from "../errors.ts";
import { assessStatus } from "../status/assess-status.ts";
import { resolveThresholds } from "../status/measures.ts";
import { renderMetrics } from "../status/render-metrics.ts";
import { statusMetrics } from "../status/status-metrics.ts";
import type { Collection } from "../status/status-metrics.ts";
import { collectStatus } from "./collect-status.ts";
import type { CommandRun } from "./command.ts";
import { required } from "./settings.ts";

export interface CollectedMetrics {
  /** in Prometheus' text format; says so when the collection failed */
  readonly text: string;
  /** why it failed */
  readonly error: Error | undefined;
}

/** Looks at all that `status` looks at, and at the sizes of WAL objects. Rejects when it is stopped, and for bad settings. */
export async function collectMetrics(run: CommandRun): Promise<CollectedMetrics> {
  const begun = performance.now();
  const collection = (success: boolean): Collection => ({
    version: run.version,
    cluster: required(run.settings, "cluster"),
    success,
    finished: run.io.now(),
    durationMs: performance.now() - begun,
  });
  const { warn, crit } = run.settings.values;
  try {
    const facts = await collectStatus(run, { walSizes: true });
    const assessment = assessStatus(facts, resolveThresholds(warn, crit));
    return { text: await renderMetrics(statusMetrics(collection(true), { facts, assessment })), error: undefined };
  } catch (error) {
    if (run.io.signal.aborted || !isPgarkError(error) || error.code === "usage") throw error;
    return { text: await renderMetrics(statusMetrics(collection(false), undefined)), error };
  }
}
