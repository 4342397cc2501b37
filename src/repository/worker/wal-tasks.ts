import type { MessagePort } from "node:worker_threads";
import type { OpenWalFileOptions } from "../open-wal-file.ts";
import { openWalFile } from "../open-wal-file.ts";
import type { SealedWalFile, SealWalFileOptions } from "../seal-wal-file.ts";
import { sealWalFile } from "../seal-wal-file.ts";

export interface SealWalTask extends SealWalFileOptions {
  readonly path: string;
  /** where the bodies go, one message each */
  readonly port: MessagePort;
}

export type SealedWal = Omit<SealedWalFile, "bodies">;

export interface OpenWalTask extends OpenWalFileOptions {
  readonly stored: Uint8Array;
  readonly path: string;
  readonly port: MessagePort;
}

/** Worker: reads, checks and seals a WAL file. The bodies are handed over, not copied. */
export async function sealWal(task: SealWalTask): Promise<SealedWal> {
  const { bodies, ...sealed } = await sealWalFile(task.path, task);
  for (const body of bodies) task.port.postMessage(body, [body.buffer as ArrayBuffer]);
  return sealed;
}

/** Worker: turns a stored WAL object into a file. */
export function openWal(task: OpenWalTask): Promise<number> {
  return openWalFile(task.stored, task.path, task);
}
