import type { MessagePort } from "node:worker_threads";
import { isPgarkError } from "../../errors.ts";
import { buildPack as build } from "./build-pack.ts";
import { extractPack as extract } from "./extract-pack.ts";
import { checkPack as readPack } from "./check-pack.ts";
import type { CheckedPack, CheckedWal, CheckPackTask, CheckWalTask } from "./check-tasks.ts";
import { checkWal as readWal } from "./check-wal.ts";
import { compressFrames as compress } from "./compress-frames.ts";
import { WalTasks } from "./wal-tasks.ts";
import type { OpenWalTask, SealedWal, SealWalTask } from "./wal-tasks.ts";
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

/** This thread's: it runs one task at a time. */
const walTasks = new WalTasks();

export function sealWal(task: SealWalTask): Promise<Outcome<SealedWal>> {
  return outcomeOfPromise(task, () => walTasks.seal(task));
}

export function openWal(task: OpenWalTask): Promise<Outcome<number>> {
  return outcomeOfPromise(task, () => walTasks.open(task));
}

export function checkPack(task: CheckPackTask): Outcome<CheckedPack> {
  return outcome(task, () => readPack(task));
}

export function checkWal(task: CheckWalTask): Outcome<CheckedWal> {
  return outcome(task, () => readWal(task));
}

function outcome<T>(task: Task, work: () => T): Outcome<T> {
  try {
    return { kind: "value", value: work() };
  } catch (error) {
    return failure(error);
  } finally {
    endMessages(task);
  }
}

async function outcomeOfPromise<T>(task: Task, work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { kind: "value", value: await work() };
  } catch (error) {
    return failure(error);
  } finally {
    endMessages(task);
  }
}

interface Task {
  readonly port: MessagePort;
}

/** Errors lose their fields on the way between threads, so they travel as plain values. */
function failure(error: unknown): Outcome<never> {
  if (!isPgarkError(error)) throw error;
  const { code, message, operation, object, hint, facts } = error;
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  return { kind: "error", code, message, operation, object, hint, facts, cause };
}

function endMessages({ port }: Task): void {
  port.postMessage(endOfMessages);
  port.close();
}
