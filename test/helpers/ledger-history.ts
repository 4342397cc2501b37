/**
 * What a load on a database has committed, remembered outside of it. Pure: ledger.ts writes it, tests ask it what a database
 * restored to some moment must hold, may hold and must not.
 *
 * Each key is written by one connection only, one transaction after the other, so that its values have an order. When a
 * transaction became permanent is known as an interval, in WAL and on the server's clock: it began its commit after `from`
 * and had finished it at `until`. A moment inside the interval may find it done or not; one outside cannot be mistaken.
 */
export interface Transaction {
  readonly xid: string;
  /** `pg_current_wal_insert_lsn()` before COMMIT; the commit record does not begin before it. */
  readonly lsnFrom: bigint;
  /** The flushed LSN after COMMIT; the commit record ends at it or before. Undefined: whether it committed is unknown. */
  readonly lsnUntil: bigint | undefined;
  /** The server's clock before and after COMMIT, microseconds since 1970. */
  readonly timeFrom: bigint;
  readonly timeUntil: bigint | undefined;
  /** Key -> its new value; undefined for a deleted row. Values of rows are digests. */
  readonly changes: ReadonlyMap<string, string | undefined>;
}

/** A recovery target, in the sense of PostgreSQL's recovery_target_lsn, _time and _xid. */
export type Moment =
  | { readonly lsn: bigint }
  /** microseconds since 1970 */
  | { readonly time: bigint }
  /** the commit of this transaction, inclusive */
  | { readonly xid: string }
  /** just before the commit of this transaction */
  | { readonly beforeXid: string };

/** Key -> value, as found in a database. */
export type Rows = ReadonlyMap<string, string>;

/** The values that a key may have at a moment; more than one if its writer was just committing. */
export type ExpectedRows = ReadonlyMap<string, readonly (string | undefined)[]>;

export class LedgerHistory {
  readonly #transactions: Transaction[] = [];

  get size(): number {
    return this.#transactions.length;
  }

  get transactions(): readonly Transaction[] {
    return this.#transactions;
  }

  get last(): Transaction | undefined {
    return this.#transactions.at(-1);
  }

  add(transaction: Transaction): void {
    this.#transactions.push(transaction);
  }

  /** Transactions of one key must have been added in the order of their commits. */
  expectedRowsAt(moment: Moment): ExpectedRows {
    const expected = new Map<string, (string | undefined)[]>();
    const relation = this.#relationTo(moment);
    for (const transaction of this.#transactions) {
      const when = relation(transaction);
      if (when === "after") continue;
      for (const [key, value] of transaction.changes) {
        const before = expected.get(key);
        expected.set(key, when === "before" ? [value] : [...(before ?? [undefined]), value]);
      }
    }
    return expected;
  }

  /** In what `actual` is not as a database at `moment` must be: a line for each fault, none when all is right. */
  differencesAt(moment: Moment, actual: Rows): readonly string[] {
    const expected = this.expectedRowsAt(moment);
    const differences: string[] = [];
    for (const [key, values] of expected) {
      const found = actual.get(key);
      if (values.includes(found)) continue;
      differences.push(`${key}: expected ${values.map(show).join(" or ")}, found ${show(found)}`);
    }
    for (const [key, found] of actual) {
      if (!expected.has(key)) differences.push(`${key}: expected ${show(undefined)}, found ${show(found)}`);
    }
    return [...differences, ...this.#halfDone(moment, actual)];
  }

  /** Whichever way it went, a transaction that was committing is there as a whole or not at all. */
  #halfDone(moment: Moment, actual: Rows): readonly string[] {
    const relation = this.#relationTo(moment);
    const reached = this.#transactions.filter((transaction) => relation(transaction) !== "after");
    const lastWriter = new Map(reached.flatMap((writer) => [...writer.changes.keys()].map((key) => [key, writer])));
    return reached
      .filter((transaction) => relation(transaction) === "during")
      .filter((transaction) => {
        const visible = [...transaction.changes].filter(([key]) => lastWriter.get(key) === transaction);
        const done = visible.filter(([key, value]) => actual.get(key) === value).length;
        return done > 0 && done < visible.length;
      })
      .map(({ xid, changes }) => `transaction ${xid} is half there: ${[...changes.keys()].join(", ")}`);
  }

  #relationTo(moment: Moment): (transaction: Transaction) => "before" | "during" | "after" {
    if ("time" in moment) {
      return ({ timeFrom, timeUntil }) => relationOf(timeFrom, timeUntil, moment.time, moment.time);
    }
    if ("lsn" in moment) {
      return ({ lsnFrom, lsnUntil }) => relationOf(lsnFrom, lsnUntil, moment.lsn, moment.lsn);
    }
    const sought = "xid" in moment ? moment.xid : moment.beforeXid;
    const target = this.#transactions.find((transaction) => transaction.xid === sought);
    if (target?.lsnUntil === undefined) throw new Error(`transaction ${sought} is not known to have committed`);
    const ofTarget = "xid" in moment ? "before" : "after";
    const { xid, lsnFrom, lsnUntil: end } = target;
    return (other) => (other.xid === xid ? ofTarget : relationOf(other.lsnFrom, other.lsnUntil, lsnFrom, end));
  }
}

/** `earliest`..`latest` bounds the moment itself. A commit record that begins just at an inclusive target is replayed. */
function relationOf(
  from: bigint,
  until: bigint | undefined,
  earliest: bigint,
  latest: bigint,
): "before" | "during" | "after" {
  if (until !== undefined && until <= earliest) return "before";
  return from > latest ? "after" : "during";
}

function show(value: string | undefined): string {
  return value ?? "no row";
}

/**
 * A moment in microseconds since 1970 in the form that recovery_target_time takes. Not with a "Z": when the settings are
 * read at start, PostgreSQL does not know the names of time zones yet.
 */
export function formatTime(microseconds: bigint): string {
  const milliseconds = new Date(Number(microseconds / 1000n)).toISOString().slice(0, -1);
  return `${milliseconds}${String(microseconds % 1000n).padStart(3, "0")}+00`;
}
