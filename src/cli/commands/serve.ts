import { PgarkError } from "../../errors.ts";
import { METRICS_CONTENT_TYPE } from "../../status/render-metrics.ts";
import { collectMetrics } from "../collect-metrics.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { startMetricsServer } from "../metrics-server.ts";
import { mainRepository, required } from "../settings.ts";

/** `pgark serve --metrics`: an endpoint for Prometheus, until it is stopped. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io, log } = run;
  if (!settings.values.metrics) {
    throw new PgarkError("usage", "nothing to serve", { operation: "serve", hint: "say what: pgark serve --metrics" });
  }
  mainRepository(settings);
  required(settings, "cluster");
  const server = await startMetricsServer({
    listen: settings.values.listen,
    intervalMs: settings.values.interval,
    contentType: METRICS_CONTENT_TYPE,
    now: () => performance.now(),
    collect: async () => {
      const { text, error } = await collectMetrics(run);
      if (error !== undefined) log.warn(`could not look: ${error.message}`);
      return text;
    },
  });
  log.info(`serving ${server.url}/metrics`, { url: server.url });
  if (!io.signal.aborted) {
    await new Promise((resolve) => io.signal.addEventListener("abort", resolve, { once: true }));
  }
  await server.close();
  return EXIT.ok;
}
