import { PgarkError, throwIfAborted } from "../../errors.ts";
import type { SignalOption } from "../../storage/object-store.ts";
import type { OpenWalFileOptions } from "../open-wal-file.ts";
import type { SealedWalFile, SealWalFileOptions } from "../seal-wal-file.ts";
import { WorkerPool } from "./worker-pool.ts";

/** Threads that seal and open WAL files, for a process that stays: the main thread only talks to the store. */
export class WalWorkerPool {
  readonly #pool: WorkerPool;

  /** @param threads at least 1; each takes about 35 MB */
  constructor(threads: number) {
    this.#pool = new WorkerPool(threads);
  }

  /** As `sealWalFile`, on a worker. `aborted` at once when the signal fires; the worker goes on to its end. */
  async sealFile(path: string, options: SealWalFileOptions & SignalOption): Promise<SealedWalFile> {
    const { signal, name, recipientSets, level, writer, now } = options;
    throwIfAborted(signal, "seal WAL file");
    const bodies: Uint8Array[] = [];
    const task = { path, name, recipientSets, level, writer, now };
    const sealing = this.#pool.run("sealWal", task, (body) => bodies.push(body as Uint8Array));
    return { ...(await untilAborted(sealing, signal)), bodies };
  }

  /**
   * As `openWalFile`, on a worker. `stored` moves there if it has its memory for itself: it must not be used any more. When the
   * signal fires, `aborted` comes at once, but the worker goes on, and may still write the file until `close` has ended.
   */
  async openToFile(stored: Uint8Array, path: string, options: OpenWalFileOptions & SignalOption): Promise<number> {
    const { signal, name, identity, encrypted, identities, key } = options;
    throwIfAborted(signal, "open WAL file");
    const task = { stored, path, name, identity, encrypted, identities, key };
    return untilAborted(
      this.#pool.run("openWal", task, () => undefined, ownMemory(stored)),
      signal,
    );
  }

  /** Ends the threads, whatever they are doing. */
  async close(): Promise<void> {
    await this.#pool.close();
  }
}

function ownMemory({ buffer, byteLength }: Uint8Array): readonly ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void =>
    reject(new PgarkError("aborted", "stopped", { operation: "work", cause: signal.reason }));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Nobody looks at the one that lost.
    work.catch(() => undefined);
    aborted.catch(() => undefined);
  }
}
