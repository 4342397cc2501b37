/** What goes wrong with requests that fit, instead of or besides being served. */
export interface Fault {
  readonly method?: string;
  /** matched against path and query */
  readonly path?: RegExp;
  /** how often at most; without it, always */
  readonly times?: number;
  /** let so many requests that fit pass first */
  readonly after?: number;
  /** answer with this status, without serving the request */
  readonly status?: number;
  readonly reason?: string;
  readonly message?: string;
  /** of the answer, instead of the API's own error */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** wait so many milliseconds, then go on */
  readonly delayMs?: number;
  /** never answer, once the request was read */
  readonly hang?: true;
  /** break the connection once so many bytes of the body were read; what was read counts as sent */
  readonly resetAfter?: number;
  /** serve the request and break the connection instead of answering */
  readonly loseAnswer?: true;
  /** break the connection after so many bytes of the answer's body */
  readonly truncateAt?: number;
  /** turn over a bit in the request's body, or in that of the answer */
  readonly damage?: "request" | "answer";
}

export class Faults {
  readonly #planned: { readonly fault: Fault; seen: number; done: number }[] = [];

  add(...faults: readonly Fault[]): void {
    for (const fault of faults) this.#planned.push({ fault, seen: 0, done: 0 });
  }

  clear(): void {
    this.#planned.length = 0;
  }

  /** The first fault that applies to this request, used up by one. */
  take(method: string, path: string): Fault {
    for (const plan of this.#planned) {
      const { fault } = plan;
      if (fault.method !== undefined && fault.method !== method) continue;
      if (fault.path !== undefined && !fault.path.test(path)) continue;
      if (plan.done >= (fault.times ?? Infinity)) continue;
      if (plan.seen++ < (fault.after ?? 0)) continue;
      plan.done++;
      return fault;
    }
    return {};
  }
}
