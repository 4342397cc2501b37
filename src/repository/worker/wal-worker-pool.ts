import { statSync } from "node:fs";
import { PgarkError, throwIfAborted } from "../../errors.ts";
import type { SignalOption } from "../../storage/object-store.ts";
import { sealedBound } from "../envelope/object-sealer.ts";
import type { OpenWalFileOptions } from "../open-wal-file.ts";
import type { SealedWalFile, SealWalFileOptions } from "../seal-wal-file.ts";
import { WorkerPool } from "./worker-pool.ts";

/** Threads that seal and open WAL files, for a process that stays: the main thread only talks to the store. */
export class WalWorkerPool {
  readonly #pool: WorkerPool;
  readonly #memory = new SharedMemory();

  /** @param threads at least 1; each takes about 35 MB */
  constructor(threads: number) {
    this.#pool = new WorkerPool(threads);
  }

  /**
   * As `sealWalFile`, on a worker; the bodies are to be released. When the signal fires, `aborted` comes at once, but the worker
   * goes on to its end.
   */
  async sealFile(path: string, options: Omit<SealWalFileOptions, "memory"> & SignalOption): Promise<SealedWalFile> {
    const { signal, name, recipientSets, level, writer, now } = options;
    throwIfAborted(signal, "seal WAL file");
    const bound = sealedBound(sizeOf(path));
    const memory = recipientSets.map(() => this.#memory.take(bound));
    const task = { path, name, recipientSets, level, writer, now, memory };
    const bodies: Uint8Array[] = [];
    const sealing = this.#pool.run("sealWal", task, (body) => bodies.push(body as Uint8Array));
    // Once only: what was given back may be lent again.
    const release = (): void => {
      for (const piece of memory.splice(0)) this.#memory.giveBack(piece);
    };
    try {
      return { ...(await untilAborted(sealing, signal)), bodies, release };
    } catch (error) {
      // Also when nobody waits any more: the worker writes to it until it has ended.
      void sealing.then(release, release);
      throw error;
    }
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

/** 0 when there is none, which the worker then says better. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/**
 * Memory that is used again. Left to the garbage collector, the bodies of many segments pile up before it looks: they are large,
 * and nothing else makes garbage here.
 */
class SharedMemory {
  readonly #free: Uint8Array[] = [];

  take(size: number): Uint8Array {
    const index = this.#free.findIndex((piece) => piece.length >= size);
    const [piece] = index < 0 ? [] : this.#free.splice(index, 1);
    return piece ?? new Uint8Array(new SharedArrayBuffer(size));
  }

  giveBack(piece: Uint8Array): void {
    this.#free.push(piece);
  }
}

function ownMemory({ buffer, byteLength }: Uint8Array): readonly ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new PgarkError("aborted", "stopped", { operation: "work", cause: signal.reason }));
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
