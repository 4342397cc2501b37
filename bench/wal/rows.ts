import type { Bar, Measured } from "./report.ts";

/** What the results are compared from; the others are compared with it. */
export const subject = "pgark";
export const zst3 = "pgBackRest zst 3";
export const zst1 = "pgBackRest zst 1";

/** The process-max that suits pgBackRest best on a store far away is looked for among these. */
export const distantProcesses = [2, 4, 8];
export const distantName = (processes: number): string => `pgBackRest zst 1, process-max ${processes}`;

const atMost = (other: string, ratio: number): Bar => ({ other, kind: "at most", ratio });
const atLeast = (other: string, ratio: number): Bar => ({ other, kind: "at least", ratio });
const row = (what: string, unit: string, ...bars: readonly Bar[]): Measured => ({ what, unit, bars });
const distant = distantProcesses.map((processes) => atLeast(distantName(processes), 1.5));

/** What is measured, and what pgark is to reach. */
export const rows = {
  acknowledged: row("CPU of an acknowledged archive_command", "ms", atMost(zst3, 0.2)),
  prefetched: row("CPU of a prefetched restore_command", "ms", atMost(zst3, 0.3)),
  push: row("CPU of archiving, whole path", "ms/segment", atMost(zst3, 0.5), atMost(zst1, 0.75)),
  foreground: row("  of that, archive_command", "ms/segment"),
  drained: row("backlog archived", "segments/s", atLeast(zst3, 1.8), atLeast(zst1, 1.8)),
  stored: row("stored", "MB/segment"),
  replayed: row("recovery, fetching included", "s", atMost(zst3, 0.85), atMost(zst1, 0.85)),
  replaying: row("  CPU of replaying alone", "s"),
  fetch: row("CPU of fetching in recovery, whole path", "ms/segment"),
  distantPush: row("S3 far away: backlog archived", "segments/s", ...distant),
  distantPushCpu: row("S3 far away: CPU of archiving, whole path", "ms/segment"),
  distantFetch: row("S3 far away: fetched in turn", "segments/s", ...distant),
  distantFetchCpu: row("S3 far away: CPU of fetching, whole path", "ms/segment"),
};
