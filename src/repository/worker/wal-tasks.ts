import type { MessagePort } from "node:worker_threads";
import { freeMemory } from "../envelope/free-memory.ts";
import { SealWorkspace } from "../envelope/object-sealer.ts";
import type { PayloadReader } from "../envelope/payload-reader.ts";
import { newReader } from "../envelope/whole-object.ts";
import type { OpenWalFileOptions } from "../open-wal-file.ts";
import { openWalFile } from "../open-wal-file.ts";
import type { SealedWalFile, SealWalFileOptions } from "../seal-wal-file.ts";
import { sealWalFile } from "../seal-wal-file.ts";

export interface SealWalTask extends SealWalFileOptions {
  readonly path: string;
  /** where the bodies go, one message each */
  readonly port: MessagePort;
}

export type SealedWal = Omit<SealedWalFile, "bodies" | "release">;

export interface OpenWalTask extends OpenWalFileOptions {
  readonly stored: Uint8Array;
  readonly path: string;
  readonly port: MessagePort;
}

/** What a worker does with WAL files. It keeps its buffers from one to the next: made anew, they pile up as garbage. */
export class WalTasks {
  #workspace: SealWorkspace | undefined;
  #reader: PayloadReader | undefined;

  /** Reads, checks and seals a WAL file. The bodies are shared or handed over, never copied. */
  async seal(task: SealWalTask): Promise<SealedWal> {
    if (this.#workspace?.level !== task.level) this.#workspace = new SealWorkspace(task.level);
    const { bodies, ...sealed } = await sealWalFile(task.path, task, this.#workspace);
    for (const body of bodies) task.port.postMessage(body, body.buffer instanceof ArrayBuffer ? [body.buffer] : []);
    return sealed;
  }

  /** Turns a stored WAL object into a file. */
  async open(task: OpenWalTask): Promise<number> {
    this.#reader ??= newReader();
    try {
      return await openWalFile(task.stored, task.path, task, this.#reader);
    } finally {
      freeMemory(task.stored);
    }
  }
}
