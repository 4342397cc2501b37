import type { OnProgress } from "../log.ts";
import { Counters } from "../repository/worker/pack-tasks.ts";

const intervalMs = 250;

/** Tells how far the workers are, from now until `end` is called. */
export function reportProgress(
  phase: string,
  shared: SharedArrayBuffer,
  total: { readonly bytes: number },
  onProgress: OnProgress,
): { end(): void } {
  const counters = new Counters(shared);
  const report = (): void => {
    const { bytes, files } = counters;
    onProgress({ phase, doneBytes: bytes, totalBytes: Math.max(total.bytes, bytes), doneFiles: files });
  };
  // At once, too: rates are counted from the first report on.
  report();
  const timer = setInterval(report, intervalMs);
  return {
    end: () => {
      clearInterval(timer);
      report();
    },
  };
}
