import type { Log } from "../log.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { encodeRecord } from "./records.ts";

/** How often a backup that is being taken gives a sign of life. */
export const backupBeatMs = 5 * 60_000;
/** A backup that could not give one for so long gives up: others may take it for dead some time later. */
export const backupSilenceMs = 60 * 60_000;

/** A sign that could not be taken away in this time stays: nobody waits for it. */
const removeMs = 10_000;

export interface HeartbeatOptions {
  readonly store: ObjectStore;
  /** ends in a slash; nothing else lies in it */
  readonly folder: string;
  readonly host: string;
  readonly everyMs: number;
  /** when no sign was given for so long, all is lost: others may have taken the writer for dead */
  readonly silenceMs: number;
  /** called once, when it is lost */
  readonly onLost?: () => void;
  readonly now: () => Date;
  readonly log: Log;
}

/**
 * Shows others that a writer is still at work: an object every so often, each under a new name, since nothing in a repository
 * is overwritten; the one before is deleted then, where the credentials allow it. Readers go by the store's own times.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #stop = new AbortController();
  #beats = 0;
  #last: string | undefined;
  #beating: Promise<void> | undefined;
  #lastSuccess: Moment;
  #isLost = false;

  /** Begins to beat; the first sign comes after `everyMs`, for whatever the writer wrote just now is one, too. */
  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#lastSuccess = momentOf(options.now());
    this.#timer = setInterval(() => void this.beat(), options.everyMs);
  }

  /**
   * Whether there was too long a silence, be it now or at any time before: a machine that slept finds its timers late, and
   * must not go on as if nothing had been.
   */
  get isLost(): boolean {
    const now = momentOf(this.#options.now());
    // Asleep, the one clock stands still; the other may be set back.
    const silentMs = Math.max(now.monotonic - this.#lastSuccess.monotonic, now.wall - this.#lastSuccess.wall);
    if (silentMs >= this.#options.silenceMs && !this.#isLost) {
      this.#isLost = true;
      this.#options.onLost?.();
    }
    return this.#isLost;
  }

  /** Gives one sign now, unless it is lost. Never rejects: what fails is tried again the next time. */
  async beat(): Promise<void> {
    if (this.isLost) return;
    this.#beating ??= this.#write().finally(() => {
      this.#beating = undefined;
    });
    await this.#beating;
  }

  /** Ends it, and takes the last sign away. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#beating;
    await this.#remove(this.#last);
  }

  async #write(): Promise<void> {
    const { store, folder, host, now, log } = this.#options;
    const key = `${folder}${String(++this.#beats).padStart(6, "0")}.json`;
    const before = this.#last;
    const began = momentOf(now());
    const sign = encodeRecord({ kind: "pgark alive", host, time: now().toISOString() });
    const { signal } = this.#stop;
    try {
      await store.put(key, sign, { ifAbsent: true, signal });
      this.#last = key;
      this.#lastSuccess = began;
      await this.#remove(before);
    } catch (error) {
      if (signal.aborted) return;
      log.warn(`could not give a sign of life: ${error instanceof Error ? error.message : String(error)}`, { key });
    }
  }

  /** A host that may write and not delete leaves them all; they are few and small, and go with what they lie beside. */
  async #remove(key: string | undefined): Promise<void> {
    if (key === undefined) return;
    await this.#options.store.delete([key], { signal: AbortSignal.timeout(removeMs) }).catch(() => undefined);
  }
}

interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

function momentOf(now: Date): Moment {
  return { wall: now.getTime(), monotonic: performance.now() };
}
