import type { MessagePort } from "node:worker_threads";
import { PgarkError } from "../../errors.ts";
import { copyBytes } from "../../copy-bytes.ts";

/**
 * How a worker thread and the main thread pass parts of an object: a few slots of shared memory, each either empty or full.
 * The worker waits by `Atomics.wait` (it has nothing else to do); the main thread never waits, it is told by messages.
 */
export interface SharedParts {
  readonly slotSize: number;
  readonly slots: SharedArrayBuffer;
  /** state of each slot (0 empty, 1 full), then its length, then the stop flag */
  readonly control: SharedArrayBuffer;
}

export const slotCount = 2;
const empty = 0;
const full = 1;
const stopIndex = 2 * slotCount;

export function createSharedParts(slotSize: number): SharedParts {
  return {
    slotSize,
    slots: new SharedArrayBuffer(slotSize * slotCount),
    control: new SharedArrayBuffer(4 * (2 * slotCount + 1)),
  };
}

/** A view over shared parts that both sides use. */
export class PartSlots {
  readonly control: Int32Array;
  readonly #parts: SharedParts;

  constructor(parts: SharedParts) {
    this.#parts = parts;
    this.control = new Int32Array(parts.control);
  }

  bytes(slot: number): Buffer {
    return Buffer.from(this.#parts.slots, slot * this.#parts.slotSize, this.#parts.slotSize);
  }

  length(slot: number): number {
    return Atomics.load(this.control, slotCount + slot);
  }

  isEmpty(slot: number): boolean {
    return Atomics.load(this.control, slot) === empty;
  }

  fill(slot: number, length: number): void {
    Atomics.store(this.control, slotCount + slot, length);
    Atomics.store(this.control, slot, full);
    Atomics.notify(this.control, slot);
  }

  release(slot: number): void {
    Atomics.store(this.control, slot, empty);
    Atomics.notify(this.control, slot);
  }

  /** Makes the worker end at its next look. */
  stop(): void {
    Atomics.store(this.control, stopIndex, 1);
    for (let slot = 0; slot < slotCount; slot++) Atomics.notify(this.control, slot);
  }

  reset(): void {
    this.control.fill(0);
  }

  /** Worker only: waits until the slot is empty (to fill it) or full (to empty it). Throws `aborted` when told to stop. */
  wait(slot: number, wanted: "empty" | "full"): void {
    const unwanted = wanted === "empty" ? full : empty;
    for (;;) {
      this.throwIfStopped();
      if (Atomics.load(this.control, slot) !== unwanted) return;
      // The time limit only guards against a stop flag that was set between the look and the wait.
      Atomics.wait(this.control, slot, unwanted, 100);
    }
  }

  throwIfStopped(): void {
    if (Atomics.load(this.control, stopIndex) === 1) throw new PgarkError("aborted", "stopped", { operation: "work" });
  }
}

/** What a worker tells of a full slot. */
export interface PartMessage {
  readonly index: number;
  readonly slot: number;
  readonly length: number;
}

/** Worker's end of an object that goes out: bytes in, full parts away. */
export class PartSender {
  parts = 0;
  size = 0;
  readonly #slots: PartSlots;
  readonly #port: MessagePort;
  readonly #slotSize: number;
  readonly #onPart: (bytes: Uint8Array) => void;
  #current: Buffer | undefined;
  #fill = 0;

  constructor(parts: SharedParts, port: MessagePort, onPart: (bytes: Uint8Array) => void) {
    this.#slots = new PartSlots(parts);
    this.#slotSize = parts.slotSize;
    this.#port = port;
    this.#onPart = onPart;
  }

  write(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length;) {
      this.#current ??= this.#acquire();
      const taken = Math.min(this.#slotSize - this.#fill, bytes.length - offset);
      copyBytes(this.#current, bytes.subarray(offset, offset + taken), this.#fill);
      this.#fill += taken;
      offset += taken;
      if (this.#fill === this.#slotSize) this.#send();
    }
  }

  end(): void {
    if (this.#fill > 0) this.#send();
  }

  throwIfStopped(): void {
    this.#slots.throwIfStopped();
  }

  #acquire(): Buffer {
    const slot = this.parts % slotCount;
    this.#slots.wait(slot, "empty");
    this.#fill = 0;
    return this.#slots.bytes(slot);
  }

  #send(): void {
    const slot = this.parts % slotCount;
    const bytes = (this.#current ?? Buffer.alloc(0)).subarray(0, this.#fill);
    this.#onPart(bytes);
    this.size += bytes.length;
    this.#slots.fill(slot, bytes.length);
    const message: PartMessage = { index: this.parts++, slot, length: bytes.length };
    this.#port.postMessage(message);
    this.#current = undefined;
    this.#fill = 0;
  }
}

/** Worker's end of an object that comes in: the next part, valid until the next call. */
export class PartReceiver {
  readonly #slots: PartSlots;
  readonly #port: MessagePort;
  #next = 0;

  constructor(parts: SharedParts, port: MessagePort) {
    this.#slots = new PartSlots(parts);
    this.#port = port;
  }

  /** Hands the next part to `use` and then gives its slot back. */
  take(use: (bytes: Uint8Array) => void): number {
    const slot = this.#next++ % slotCount;
    this.#slots.wait(slot, "full");
    const length = this.#slots.length(slot);
    use(this.#slots.bytes(slot).subarray(0, length));
    this.#slots.release(slot);
    this.#port.postMessage(slot);
    return length;
  }
}
