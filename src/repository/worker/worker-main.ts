import type { MessagePort } from "node:worker_threads";
import { isPgarkError } from "../../errors.ts";
import { buildPack as build } from "./build-pack.ts";
import { extractPack as extract } from "./extract-pack.ts";
import { checkPack as readPack } from "./check-pack.ts";
import type { CheckedPack, CheckedWal, CheckPackTask, CheckWalTask } from "./check-tasks.ts";
import { checkWal as readWal } from "./check-wal.ts";
import { compressFrames as compress } from "./compress-frames.ts";
import type { BuildPackTask, BuiltPack, CompressTask, ExtractPackTask } from "./pack-tasks.ts";
import type { Outcome } from "./worker-outcome.ts";
import { endOfMessages } from "./worker-outcome.ts";

/** What a worker thread runs: the pool calls these by name. */
export function buildPack(task: BuildPackTask): Outcome<BuiltPack> {
  return outcome(task, () => build(task));
}

export function extractPack(task: ExtractPackTask): Outcome<void> {
  return outcome(task, () => extract(task));
}

export function compressFrames(task: CompressTask): Outcome<void> {
  return outcome(task, () => compress(task));
}

export function checkPack(task: CheckPackTask): Outcome<CheckedPack> {
  return outcome(task, () => readPack(task));
}

export function checkWal(task: CheckWalTask): Outcome<CheckedWal> {
  return outcome(task, () => readWal(task));
}

/** Errors lose their fields on the way between threads, so they travel as plain values. */
function outcome<T>(task: { readonly port: MessagePort }, work: () => T): Outcome<T> {
  try {
    return { kind: "value", value: work() };
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    const { code, message, operation, object, hint } = error;
    const cause = error.cause instanceof Error ? error.cause.message : undefined;
    return { kind: "error", code, message, operation, object, hint, cause };
  } finally {
    task.port.postMessage(endOfMessages);
    task.port.close();
  }
}
