/**
 * Tells when the WAL that waits to be archived becomes a matter of concern: at the threshold, at each doubling beyond, and when
 * it is over.
 */
export class BacklogWatch {
  readonly #threshold: number;
  /** what was warned of last; 0 when all is well */
  #warned = 0;

  /** @param threshold files; 0: never warn */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** @param files how many `.ready` files there are, acknowledged ahead or not */
  see(files: number): { readonly level: "info" | "warn"; readonly message: string } | undefined {
    if (this.#threshold === 0) return undefined;
    if (files >= Math.max(this.#threshold, this.#warned * 2)) {
      this.#warned = files;
      return { level: "warn", message: backlogWarning(files) };
    }
    if (this.#warned === 0 || files >= this.#threshold / 2) return undefined;
    this.#warned = 0;
    return { level: "info", message: `the backlog of WAL to archive is down to ${files} files` };
  }
}

export function backlogWarning(files: number): string {
  return (
    `${files} WAL files wait to be archived; PostgreSQL keeps them all: ` +
    "look at the free space of pg_wal, and whether archiving fails or is too slow"
  );
}
