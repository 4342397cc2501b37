/**
 * What tests start or make is registered here and undone, newest first: by its owner (`await using`), else after the test
 * file's last test (setup.ts), else, synchronously and by force, when the worker process exits.
 */
export interface Cleanup {
  /** orderly */
  readonly dispose: () => Promise<void>;
  /** at process exit, when nothing can be awaited any more */
  readonly disposeNow: () => void;
}

const pending = new Set<Cleanup>();

/** Registers `cleanup`; the function returned runs it, once, however often it is called. */
export function registerCleanup(cleanup: Cleanup): () => Promise<void> {
  process.off("exit", disposeEverythingNow);
  process.on("exit", disposeEverythingNow);
  pending.add(cleanup);
  return async () => {
    if (pending.delete(cleanup)) await cleanup.dispose();
  };
}

/** Undoes everything that is left. One failure does not keep the rest from being undone; all are reported. */
export async function disposeEverything(): Promise<void> {
  const failures: unknown[] = [];
  for (const cleanup of [...pending].toReversed()) {
    pending.delete(cleanup);
    try {
      await cleanup.dispose();
    } catch (error) {
      failures.push(error);
    }
  }
  process.off("exit", disposeEverythingNow);
  if (failures.length > 0) throw new AggregateError(failures, "cleaning up after the tests failed");
}

function disposeEverythingNow(): void {
  for (const cleanup of [...pending].toReversed()) cleanup.disposeNow();
  pending.clear();
}
