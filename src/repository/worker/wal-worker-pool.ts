import { statSync } from "node:fs";
import { PgarkError, throwIfAborted } from "../../errors.ts";
import type { SignalOption } from "../../storage/object-store.ts";
import { sealedBound } from "../envelope/object-sealer.ts";
import type { OpenWalFileOptions } from "../open-wal-file.ts";
import type { SealedWalFile, SealWalFileOptions } from "../seal-wal-file.ts";
import { SharedMemory } from "./shared-memory.ts";
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
   * As `openWalFile`, on a worker, of the object that `load` reads, into the memory that it gets if the object fits. `size`: bytes
   * of the file, about. When the signal fires, `aborted` comes at once, but the worker goes on, and may still write the file until
   * `close` has ended.
   */
  async loadToFile(
    size: number,
    load: (into: Uint8Array) => Promise<Uint8Array>,
    path: string,
    options: OpenWalFileOptions & SignalOption,
  ): Promise<number> {
    const { signal, name, identity, encrypted, identities, key } = options;
    throwIfAborted(signal, "open WAL file");
    const memory = this.#memory.take(sealedBound(size));
    let opening: Promise<number> | undefined;
    try {
      const stored = await load(memory);
      const task = { stored, path, name, identity, encrypted, identities, key };
      opening = this.#pool.run("openWal", task, () => undefined, ownMemory(stored));
      return await untilAborted(opening, signal);
    } finally {
      // Also when nobody waits any more: the worker reads it until it has ended.
      void Promise.allSettled([opening]).then(() => this.#memory.giveBack(memory));
    }
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
