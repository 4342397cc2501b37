import { describe, expect, test } from "vitest";
import { LedgerHistory, type Moment, type Transaction } from "./ledger-history.ts";

/** Transaction n commits between LSN 10n and 10n + 5, and between time 100n and 100n + 50. */
function transaction(n: number, changes: Record<string, string | undefined>): Transaction {
  return {
    xid: String(n),
    lsnFrom: BigInt(10 * n),
    lsnUntil: BigInt(10 * n + 5),
    timeFrom: BigInt(100 * n),
    timeUntil: BigInt(100 * n + 50),
    changes: new Map(Object.entries(changes)),
  };
}

const history = new LedgerHistory();
history.add(transaction(1, { a: "1", b: "1" }));
history.add(transaction(2, { a: "2", b: undefined }));
history.add(transaction(3, { c: "3" }));

describe("the history of a ledger", () => {
  const moments: readonly [string, Moment, Record<string, (string | undefined)[]>][] = [
    ["before everything", { lsn: 5n }, {}],
    ["during the first commit", { lsn: 12n }, { a: [undefined, "1"], b: [undefined, "1"] }],
    ["after the first commit", { lsn: 15n }, { a: ["1"], b: ["1"] }],
    ["after it, by the clock", { time: 150n }, { a: ["1"], b: ["1"] }],
    ["when the second begins to commit", { time: 200n }, { a: ["1", "2"], b: ["1", undefined] }],
    ["at the second transaction", { xid: "2" }, { a: ["2"], b: [undefined] }],
    ["just before the second transaction", { beforeXid: "2" }, { a: ["1"], b: ["1"] }],
    ["after everything", { lsn: 99n }, { a: ["2"], b: [undefined], c: ["3"] }],
  ];
  test.each(moments)("says what may be there %s", (_, moment, expected) => {
    expect(Object.fromEntries(history.expectedRowsAt(moment))).toEqual(expected);
  });

  const faults: readonly [string, Moment, Record<string, string>, readonly string[]][] = [
    ["nothing when all is right", { lsn: 99n }, { a: "2", c: "3" }, []],
    ["a lost row", { lsn: 99n }, { a: "2" }, ["c: expected 3, found no row"]],
    ["an old value", { lsn: 99n }, { a: "1", c: "3" }, ["a: expected 2, found 1"]],
    ["a row that was deleted", { lsn: 99n }, { a: "2", b: "1", c: "3" }, ["b: expected no row, found 1"]],
    ["a row from the future", { lsn: 15n }, { a: "1", b: "1", c: "3" }, ["c: expected no row, found 3"]],
    ["nothing when a commit under way is there", { lsn: 22n }, { a: "2" }, []],
    ["nothing when a commit under way is not there", { lsn: 22n }, { a: "1", b: "1" }, []],
    ["a commit that is half there", { lsn: 22n }, { a: "2", b: "1" }, ["transaction 2 is half there: a, b"]],
  ];
  test.each(faults)("reports %s", (_, moment, rows, expected) => {
    expect(history.differencesAt(moment, new Map(Object.entries(rows)))).toEqual(expected);
  });

  test("leaves open for ever whether an unanswered commit took place", () => {
    const broken = new LedgerHistory();
    broken.add({ ...transaction(1, { a: "1" }), lsnUntil: undefined, timeUntil: undefined });
    expect(broken.expectedRowsAt({ time: 1n << 62n }).get("a")).toEqual([undefined, "1"]);
    expect(() => broken.expectedRowsAt({ xid: "1" })).toThrow("not known to have committed");
  });
});
