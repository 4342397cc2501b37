/** Tells how far all has been done without a gap; what could not be found out is not done. */
export class InOrder {
  #next: number;
  readonly #finished = new Set<number>();
  readonly #onNext: (next: number) => void;

  constructor(next: number, onNext: (next: number) => void) {
    this.#next = next;
    this.#onNext = onNext;
  }

  finish(index: number, isKnown: boolean): void {
    if (!isKnown) return;
    this.#finished.add(index);
    const before = this.#next;
    while (this.#finished.delete(this.#next)) this.#next++;
    if (this.#next > before) this.#onNext(this.#next);
  }
}
