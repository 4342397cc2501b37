import { isPgarkError, PgarkError } from "../errors.ts";

/** So many objects in a row that the store does not answer about, and it is taken to be gone. */
const mostSilences = 12;

/**
 * Does pieces of work in as many lanes, each taking the next piece when it is done with one. A failure that is thrown ends all;
 * `answered` tells of each object whether the store answered, and when it has not for long there is no next piece.
 */
export class Lanes {
  readonly signal: AbortSignal;
  readonly #stop = new AbortController();
  #silences = 0;

  constructor(signal: AbortSignal | undefined) {
    this.signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Whether the store has stopped answering. */
  get isSilent(): boolean {
    return this.#silences >= mostSilences;
  }

  answered(didAnswer: boolean): void {
    this.#silences = didAnswer ? 0 : this.#silences + 1;
  }

  /** @param lane makes what one lane keeps from piece to piece, and gives back how a piece is done with it */
  async run<T>(
    pieces: Iterator<T> | AsyncIterator<T>,
    count: number,
    lane: () => (piece: T) => Promise<void>,
  ): Promise<void> {
    const runLane = async (): Promise<void> => {
      const work = lane();
      try {
        for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
          if (this.signal.aborted) throw new PgarkError("aborted", "stopped", { operation: "verify" });
          if (this.isSilent) return;
          await work(next.value);
        }
      } catch (error) {
        this.#stop.abort(error);
        throw error;
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: count }, runLane));
    const failures = ended.filter((each) => each.status === "rejected");
    // What was stopped says so; why it was stopped is to the point.
    const first = failures.find(({ reason }) => !isPgarkError(reason, "aborted")) ?? failures[0];
    if (first !== undefined) throw first.reason;
  }
}
