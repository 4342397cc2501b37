import type { ObjectStore } from "../../storage/object-store.ts";
import type { ExtractFile } from "./pack-tasks.ts";
import { receiveObject } from "./receive-object.ts";
import type { SharedParts } from "./shared-parts.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface ReceivePackOptions {
  readonly store: ObjectStore;
  readonly pool: WorkerPool;
  readonly key: string;
  /** bytes as stored, by the manifest */
  readonly size: number;
  readonly encrypted: boolean;
  readonly secretKeys: readonly string[];
  /** in the order of their offsets */
  readonly files: readonly ExtractFile[];
  readonly parts: SharedParts;
  readonly counters: SharedArrayBuffer;
  readonly signal: AbortSignal | undefined;
}

/** Reads a pack from the store, part by part, and has a worker write its files. */
export async function receivePack(options: ReceivePackOptions): Promise<void> {
  const { pool, size, files, parts, counters } = options;
  await receiveObject(options, ({ header, key }, released) =>
    pool.run("extractPack", { files, key, storedSize: size - header.length, parts, counters }, released),
  );
}
