import type { Repository } from "./repository.ts";

/** One of the repositories that a cluster archives to, opened when it is first needed. */
export class RepositoryMember {
  /** where it is, as configured */
  readonly url: string;
  /** why it is passed over for the time being; undefined while it takes part */
  away: unknown = undefined;
  /** files on their way to it */
  pending = 0;
  readonly #open: () => Promise<Repository>;
  #opening: Promise<Repository> | undefined;

  constructor(url: string, open: () => Promise<Repository>) {
    this.url = url;
    this.#open = open;
  }

  /** The repository; opened again after a failure. */
  async open(): Promise<Repository> {
    this.#opening ??= this.#open();
    try {
      return await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }
}

/**
 * Waits until all have settled, or until so many have succeeded and the others have had their grace. Gives back what is known
 * then, in order; undefined for those still under way, whose failure nobody needs to catch.
 */
export async function settleQuorum<T>(
  works: readonly Promise<T>[],
  quorum: number,
  graceMs: number,
): Promise<readonly (PromiseSettledResult<T> | undefined)[]> {
  const results: (PromiseSettledResult<T> | undefined)[] = works.map(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    let open = works.length;
    let done = 0;
    works.forEach((work, index) => {
      const settle = (result: PromiseSettledResult<T>): void => {
        results[index] = result;
        open--;
        if (result.status === "fulfilled") done++;
        if (open === 0) resolve();
        else if (done >= quorum) timer ??= setTimeout(resolve, graceMs);
      };
      work.then(
        (value) => settle({ status: "fulfilled", value }),
        (reason: unknown) => settle({ status: "rejected", reason }),
      );
    });
    if (works.length === 0) resolve();
  });
  clearTimeout(timer);
  return [...results];
}
