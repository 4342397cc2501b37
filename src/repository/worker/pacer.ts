export interface PacerOptions {
  /** bytes a second, or undefined for as fast as can be */
  readonly rate: number | undefined;
  /** milliseconds */
  readonly now: () => number;
  readonly pause: (milliseconds: number) => void;
}

/** A wait is cut into pieces of this length, so that a stop is noticed. */
const longestPauseMs = 500;
/** Less than this is not worth the waking up. */
const shortestPauseMs = 5;

/** Keeps the reading of one worker below a rate. */
export class Pacer {
  readonly #options: PacerOptions;
  readonly #began: number;
  #bytes = 0;

  constructor(options: PacerOptions) {
    this.#options = options;
    this.#began = options.now();
  }

  /** Waits until `bytes` more may have been read; `throwIfStopped` is asked all the while. */
  read(bytes: number, throwIfStopped: () => void): void {
    throwIfStopped();
    const { rate, now, pause: wait } = this.#options;
    if (rate === undefined) return;
    this.#bytes += bytes;
    const due = this.#began + (this.#bytes / rate) * 1000;
    for (let ahead = due - now(); ahead > shortestPauseMs; ahead = due - now()) {
      wait(Math.min(ahead, longestPauseMs));
      throwIfStopped();
    }
  }
}

/** Puts this thread, a worker's, to sleep. */
export function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
