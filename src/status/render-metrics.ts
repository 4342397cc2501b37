import { Counter, Gauge, Registry } from "prom-client";
import type { Metric } from "./metric.ts";

/** What `renderMetrics` gives is of this type. */
export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Prometheus' text exposition format, ending in a line end. */
export async function renderMetrics(metrics: readonly Metric[]): Promise<string> {
  const registry = new Registry();
  for (const { name, help, type, samples } of metrics) {
    const labelNames = [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))];
    const options = {
      name,
      help,
      labelNames: labelNames.length === 0 ? ["cluster"] : labelNames,
      registers: [registry],
    };
    if (type === "gauge") {
      const metric = new Gauge(options);
      for (const { labels, value } of samples) metric.set(labels, value);
    } else {
      const metric = new Counter(options);
      for (const { labels, value } of samples) metric.inc(labels, value);
    }
  }
  return registry.metrics();
}
