import type { SingleBar } from "cli-progress";
import { formatBytes, formatDuration } from "../format.ts";
import type { Log, OnProgress, Progress } from "../log.ts";
import type { Screen } from "./screen.ts";

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Takes the bar away; where there is none, a last line says how much was `done`. Nothing is shown afterwards. */
  readonly stop: (outcome: "done" | "failed") => void;
}

export interface ProgressOptions {
  readonly screen: Screen;
  readonly log: Log;
  readonly now: () => Date;
  readonly enabled: boolean;
  /** whether lines carry their numbers apart, for machines */
  readonly facts: boolean;
}

/** No line sooner than this after the last one, and after the beginning: what is done at once needs only its last line. */
const LINE_AFTER_MS = 5_000;
/** Then one is due when this share of the whole is done since the last line, or this much time has passed. */
const LINE_EVERY_SHARE = 0.1;
const LINE_EVERY_MS = 60_000;

/** A bar on a terminal, a log line now and then elsewhere, nothing when it is not wanted. */
export async function createProgress(options: ProgressOptions): Promise<ProgressDisplay> {
  if (!options.enabled) return { onProgress() {}, stop() {} };
  return options.screen.output.isTerminal ? progressBar(options) : progressLines(options);
}

interface Phase {
  readonly begun: number;
  readonly latest: Progress;
  /** when it was reported */
  readonly time: number;
  /** what the last line said */
  readonly told: { readonly time: number; readonly share: number };
}

/** A log line for every ten per cent, with seconds between them and a minute at most, and one when a phase is done. */
export function progressLines(options: Pick<ProgressOptions, "log" | "now" | "facts">): ProgressDisplay {
  let phase: Phase | undefined;
  const tell = (text: string, progress: Progress): void =>
    options.log.info(text, options.facts ? { ...progress } : undefined);
  /** Not by its bytes is a phase known to be done: files shrink and vanish while they are copied. */
  const done = (): void => {
    if (phase !== undefined) tell(describeDone(phase.latest, phase.time - phase.begun), phase.latest);
    phase = undefined;
  };
  return {
    onProgress(progress) {
      const time = options.now().getTime();
      if (phase?.latest.phase !== progress.phase) {
        done();
        phase = { begun: time, time, latest: progress, told: { time, share: shareOf(progress) } };
        return;
      }
      phase = { ...phase, latest: progress, time };
      const share = shareOf(progress);
      const passed = time - phase.told.time;
      if (passed < LINE_AFTER_MS) return;
      if (passed < LINE_EVERY_MS && share - phase.told.share < LINE_EVERY_SHARE) return;
      phase = { ...phase, told: { time, share } };
      tell(describeProgress(progress, time - phase.begun), progress);
    },
    stop(outcome) {
      if (outcome === "done") done();
      phase = undefined;
    },
  };
}

/** "copy: done, 2.9 GB in 14 s, 210 MB/s" */
function describeDone(progress: Progress, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? `, ${formatBytes((progress.doneBytes / elapsedMs) * 1000)}/s` : "";
  return `${progress.phase}: done, ${formatBytes(progress.doneBytes)} in ${formatDuration(elapsedMs)}${rate}`;
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
