import type { SingleBar } from "cli-progress";
import type { Log, OnProgress, Progress } from "../log.ts";
import { formatBytes, formatDuration } from "./format.ts";
import type { Screen } from "./screen.ts";

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Takes the bar away. Nothing is shown afterwards. */
  stop(): void;
}

export interface ProgressOptions {
  readonly screen: Screen;
  readonly log: Log;
  readonly now: () => Date;
  readonly enabled: boolean;
  /** whether lines carry their numbers apart, for machines */
  readonly facts: boolean;
}

/** A line is due this long after the last one, or when this share of the whole is done since. */
const LINE_EVERY_MS = 10_000;
const LINE_EVERY_SHARE = 0.1;

/** A bar on a terminal, a log line now and then elsewhere, nothing when it is not wanted. */
export async function createProgress(options: ProgressOptions): Promise<ProgressDisplay> {
  if (!options.enabled) return { onProgress() {}, stop() {} };
  return options.screen.output.isTerminal ? progressBar(options) : progressLines(options);
}

/** One log line every ten seconds or ten per cent, whichever comes first, and one when a phase is done. */
export function progressLines(options: Pick<ProgressOptions, "log" | "now" | "facts">): ProgressDisplay {
  let phase: string | undefined;
  let begun = 0;
  let lastTime = 0;
  let lastShare = 0;
  return {
    onProgress(progress) {
      const time = options.now().getTime();
      const share = shareOf(progress);
      if (progress.phase !== phase) {
        phase = progress.phase;
        begun = lastTime = time;
        lastShare = share;
        return;
      }
      const finished = share === 1 && lastShare < 1;
      if (!finished && time - lastTime < LINE_EVERY_MS && share - lastShare < LINE_EVERY_SHARE) return;
      if (share === 1 && lastShare === 1) return;
      lastTime = time;
      lastShare = share;
      options.log.info(describeProgress(progress, time - begun), options.facts ? { ...progress } : undefined);
    },
    stop() {},
  };
}

/** "copy: 42%, 1.2 GB of 2.9 GB, 210 MB/s, 8 s left" */
export function describeProgress(progress: Progress, elapsedMs: number): string {
  const parts = [
    `${Math.floor(shareOf(progress) * 100)}%`,
    `${formatBytes(progress.doneBytes)} of ${formatBytes(progress.totalBytes)}`,
  ];
  if (elapsedMs > 0 && progress.doneBytes > 0) {
    const perSecond = (progress.doneBytes / elapsedMs) * 1000;
    const left = ((progress.totalBytes - progress.doneBytes) / perSecond) * 1000;
    parts.push(`${formatBytes(perSecond)}/s`);
    if (left > 0) parts.push(`${formatDuration(left)} left`);
  }
  return `${progress.phase}: ${parts.join(", ")}`;
}

async function progressBar(options: ProgressOptions): Promise<ProgressDisplay> {
  const { SingleBar: Bar } = await import("cli-progress");
  let latest: Progress | undefined;
  let begun = 0;
  let bar: SingleBar | undefined;
  const { screen } = options;

  const begin = (progress: Progress): SingleBar => {
    begun = options.now().getTime();
    const width = Math.max(10, Math.min(30, (screen.output.columns ?? 80) - 60));
    const created = new Bar({
      stream: screen.output.stream,
      format: (_options, params) => {
        const filled = Math.round(params.progress * width);
        const elapsed = options.now().getTime() - begun;
        const text = latest === undefined ? "" : describeProgress(latest, elapsed);
        return `[${"=".repeat(filled)}${" ".repeat(width - filled)}] ${text}`;
      },
      fps: 4,
      clearOnComplete: true,
      gracefulExit: false,
      emptyOnZero: true,
      forceRedraw: true,
    });
    created.start(progress.totalBytes, progress.doneBytes);
    screen.setStatus(() => created.render());
    return created;
  };
  const end = (): void => {
    screen.setStatus(undefined);
    bar?.stop();
    bar = undefined;
  };
  return {
    onProgress(progress) {
      if (latest?.phase !== progress.phase) end();
      latest = progress;
      bar ??= begin(progress);
      bar.setTotal(progress.totalBytes);
      bar.update(progress.doneBytes);
    },
    stop: end,
  };
}

function shareOf(progress: Progress): number {
  return progress.totalBytes === 0 ? 0 : Math.min(1, progress.doneBytes / progress.totalBytes);
}
