import { fileURLToPath } from "node:url";
import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import { PgarkError } from "../../errors.ts";
import type { CheckedPack, CheckedWal, CheckPackTask, CheckWalTask } from "./check-tasks.ts";
import type { BuildPackTask, BuiltPack, CompressTask, ExtractPackTask } from "./pack-tasks.ts";
import type { Outcome } from "./worker-outcome.ts";
import { endOfMessages } from "./worker-outcome.ts";
import type { OpenWalTask, SealedWal, SealWalTask } from "./wal-tasks.ts";

/** The tasks that workers know, by name. */
interface WorkerTasks {
  readonly buildPack: { readonly task: BuildPackTask; readonly result: BuiltPack };
  readonly compressFrames: { readonly task: CompressTask; readonly result: void };
  readonly extractPack: { readonly task: ExtractPackTask; readonly result: void };
  readonly sealWal: { readonly task: SealWalTask; readonly result: SealedWal };
  readonly openWal: { readonly task: OpenWalTask; readonly result: number };
  readonly checkPack: { readonly task: CheckPackTask; readonly result: CheckedPack };
  readonly checkWal: { readonly task: CheckWalTask; readonly result: CheckedWal };
}

/** Threads for the work per byte. */
export class WorkerPool {
  readonly threads: number;
  readonly #pool: Piscina;

  /** @param threads at least 1; each takes about 35 MB */
  constructor(threads: number) {
    this.threads = threads;
    this.#pool = new Piscina({
      filename: workerFile(),
      minThreads: 1,
      maxThreads: threads,
      idleTimeout: 60_000,
      // The ciphers allocate what they return; a small young generation has it collected soon.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
  }

  /**
   * Runs a task in the next free worker. `port` is the worker's end of a channel for what passes meanwhile. What `transfer` lists
   * moves to the worker and is gone here.
   */
  async run<N extends keyof WorkerTasks>(
    name: N,
    task: Omit<WorkerTasks[N]["task"], "port">,
    onMessage: (message: unknown) => void,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<WorkerTasks[N]["result"]> {
    const { port1, port2 } = new MessageChannel();
    const ended = new Promise<void>((resolve) => {
      port1.on("message", (message: unknown) => (message === endOfMessages ? resolve() : onMessage(message)));
    });
    try {
      const options = { name, transferList: [port2, ...transfer] };
      const outcome = (await this.#pool.run({ ...task, port: port2 }, options)) as Outcome<WorkerTasks[N]["result"]>;
      // The result travels another way than the messages and may overtake them.
      await ended;
      if (outcome.kind === "value") return outcome.value;
      throw new PgarkError(outcome.code, outcome.message, outcome);
    } finally {
      port1.close();
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** The worker's bundle lies beside the main one; when run from source (tests), in the build's folder. */
function workerFile(): string {
  const fromSource = import.meta.url.endsWith(".ts");
  return fileURLToPath(new URL(fromSource ? "../../../dist/worker.cjs" : "./worker.cjs", import.meta.url));
}
