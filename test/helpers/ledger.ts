import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Client, QueryResult } from "pg";
import { parseLsn } from "../../src/postgres/lsn.ts";
import { registerCleanup } from "./cleanup.ts";
import { LedgerHistory, type Rows, type Transaction } from "./ledger-history.ts";
import { until } from "./processes.ts";
import { Random } from "./random.ts";

export interface LedgerOptions {
  readonly connect: () => Promise<Client>;
  /** Connections that write small transactions; 3 unless said. */
  readonly writers?: number;
  /** WAL that one more connection adds by bulk updates, in MB/s; 3 unless said, 0 for none. */
  readonly churn?: number;
  /** Size of the table that churns, in MB; 8 unless said. */
  readonly churnTableMb?: number;
  readonly seed?: number;
}

/** A moment at which the load stood still: what a database restored to it holds is known to the byte. */
export interface Mark {
  /** the restore point, for recovery_target_name */
  readonly name: string;
  /** the end of the restore point's WAL record */
  readonly lsn: bigint;
  /** the server's clock, microseconds since 1970; whole milliseconds, and no transaction commits within that one */
  readonly time: bigint;
  readonly digests: Digests;
}

/** Table -> number of rows and the MD5 of all of them in order. */
export type Digests = Readonly<Record<string, { readonly rows: number; readonly md5: string }>>;

const rowsPerRange = 100;
const fillerBytes = 960;

const schema = `
  create table ledger (id bigint primary key, payload text not null);
  create table churn (id integer primary key, round integer not null, filler text not null);
`;

/** Microseconds since 1970, as text. */
const now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint::text";

/** Creates the tables and lets the load loose. It is stopped after the test file at the latest. */
export async function startLedger(options: LedgerOptions): Promise<Ledger> {
  const control = await options.connect();
  await control.query(schema);
  const ranges = Math.ceil(((options.churnTableMb ?? 8) * 1e6) / (rowsPerRange * fillerBytes));
  const churn = options.churn ?? 3;
  const history = new LedgerHistory();
  if (churn > 0) await control.query(`insert into churn ${churnRows(1, ranges * rowsPerRange, 0)}`);
  const origin = await positionOf(control);
  if (churn > 0) {
    const changes = new Map(Array.from({ length: ranges }, (_, range) => [`churn:${range}`, "0"]));
    history.add({ xid: "", lsnFrom: 0n, lsnUntil: origin.lsn, timeFrom: 0n, timeUntil: origin.time, changes });
  }
  const ledger = new Ledger(control, history, origin);
  const writers = options.writers ?? 3;
  for (let writer = 0; writer < writers; writer++) {
    ledger.run(await options.connect(), smallTransactions(writer, writers, new Random((options.seed ?? 1) + writer)));
  }
  if (churn > 0) ledger.run(await options.connect(), bulkUpdates(ranges), churn * 1e6);
  return ledger;
}

/** What one transaction is to do; the state it comes from is its writer's alone. */
interface Work {
  readonly statements: readonly string[];
  readonly changes: ReadonlyMap<string, string | undefined>;
}

interface Position {
  readonly lsn: bigint;
  readonly time: bigint;
}

export class Ledger implements AsyncDisposable {
  readonly history: LedgerHistory;
  readonly #control: Client;
  readonly #origin: Position;
  readonly #stop = new AbortController();
  readonly #writers: Promise<void>[] = [];
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #failures: unknown[] = [];
  readonly #dispose: () => Promise<void>;
  #pause: PromiseWithResolvers<void> | undefined;

  constructor(control: Client, history: LedgerHistory, origin: Position) {
    this.history = history;
    this.#control = control;
    this.#origin = origin;
    this.#dispose = registerCleanup({ dispose: () => this.#end(), disposeNow: () => {} });
  }

  /** Adds a writer: endless transactions on `client`, at no more than `bytesPerSecond` of WAL if that is given. */
  run(client: Client, work: Iterator<Work>, bytesPerSecond?: number): void {
    this.#writers.push(
      this.#write(client, work, bytesPerSecond).catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        this.#failures.push(error);
      }),
    );
  }

  /** Resolves when `count` more transactions have been committed; rejects when a writer has failed. */
  async untilCommitted(count: number): Promise<void> {
    const goal = this.history.size + count;
    await until(() => this.#failures.length > 0 || this.history.size >= goal, `${count} more transactions`, 120);
    this.#throwFailure();
  }

  /** Stands the load still for the moment it takes to name the moment and to read every row. */
  async mark(name: string): Promise<Mark> {
    this.#pause = Promise.withResolvers<void>();
    try {
      await Promise.all(this.#inFlight);
      this.#throwFailure();
      const point = await this.#control.query<{ lsn: string }>("select pg_create_restore_point($1)::text as lsn", [
        name,
      ]);
      // The clock has passed the last commit; the next whole millisecond is the mark, and the load goes on after it.
      const { time } = await positionOf(this.#control);
      const mark = (time / 1000n + 1n) * 1000n;
      const digests = await digestTables(this.#control);
      await this.#control.query("select pg_sleep($1)", [0.003]);
      return { name, lsn: parseLsn(point.rows[0]?.lsn ?? ""), time: mark, digests };
    } finally {
      const pause = this.#pause;
      this.#pause = undefined;
      pause.resolve();
    }
  }

  /** Ends the load. Rejects if a writer had failed, unless the server was taken from under it on purpose. */
  async stop(options: { readonly connectionLossExpected?: boolean } = {}): Promise<void> {
    await this.#dispose();
    if (options.connectionLossExpected !== true) this.#throwFailure();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#writers);
    await this.#control.end();
  }

  #throwFailure(): void {
    if (this.#failures.length > 0) throw new Error("the ledger's load broke off", { cause: this.#failures[0] });
  }

  async #write(client: Client, work: Iterator<Work>, bytesPerSecond = Infinity): Promise<void> {
    const begun = performance.now();
    let written = 0;
    let position = this.#origin;
    try {
      while (!this.#stop.signal.aborted) {
        while (this.#pause !== undefined) await this.#pause.promise;
        const { value } = work.next();
        const transaction = this.#transact(client, value as Work, position);
        this.#inFlight.add(transaction);
        const after = await transaction.finally(() => this.#inFlight.delete(transaction));
        written += after.bytes;
        position = after;
        const early = (written / bytesPerSecond) * 1000 - (performance.now() - begun);
        await delay(Math.max(0, early), undefined, { signal: this.#stop.signal });
      }
    } finally {
      await client.end();
    }
  }

  async #transact(client: Client, work: Work, previous: Position): Promise<Position & { readonly bytes: number }> {
    const { changes } = work;
    const sql = [
      "begin",
      `select pg_current_wal_insert_lsn()::text as lsn, ${now} as time`,
      ...work.statements,
      `select pg_current_xact_id()::text as xid, pg_current_wal_insert_lsn()::text as lsn, ${now} as time`,
      "commit",
      `select pg_current_wal_flush_lsn()::text as lsn, ${now} as time`,
    ];
    let results: readonly QueryResult<Record<string, string>>[];
    try {
      // Several statements in one go have several results, which the types of pg do not say.
      results = (await client.query(sql.join(";\n"))) as unknown as QueryResult<Record<string, string>>[];
    } catch (error) {
      // It may have been committed all the same.
      const unknown = { lsnUntil: undefined, timeUntil: undefined };
      this.history.add({ xid: "", lsnFrom: previous.lsn, timeFrom: previous.time, ...unknown, changes });
      throw error;
    }
    const begun = parsePosition(results[1]);
    const from = parsePosition(results.at(-3));
    const position = parsePosition(results.at(-1));
    const transaction: Transaction = {
      xid: results.at(-3)?.rows[0]?.["xid"] ?? "",
      lsnFrom: from.lsn,
      lsnUntil: position.lsn,
      timeFrom: from.time,
      timeUntil: position.time,
      changes,
    };
    this.history.add(transaction);
    return { ...position, bytes: Number(from.lsn - begun.lsn) };
  }
}

/** What a database holds, in the terms of the history. A bulk update that is only half there has a value of its own. */
export async function readRows(client: Client): Promise<Rows> {
  const ledger = await client.query<{ key: string; value: string }>(
    "select 'row:' || id as key, md5(payload) as value from ledger",
  );
  const churn = await client.query<{ key: string; value: string }>(
    `select 'churn:' || (id - 1) / ${rowsPerRange} as key, string_agg(distinct round::text, '+') as value
     from churn group by 1`,
  );
  return new Map([...ledger.rows, ...churn.rows].map(({ key, value }) => [key, value]));
}

export async function digestTables(client: Client): Promise<Digests> {
  const digests: Record<string, { rows: number; md5: string }> = {};
  for (const table of ["ledger", "churn"]) {
    const { rows } = await client.query<{ rows: number; md5: string }>(
      `select count(*)::int as rows, coalesce(md5(string_agg(md5(t::text), '' order by id)), '') as md5 from ${table} t`,
    );
    const digest = rows[0];
    if (digest !== undefined) digests[table] = digest;
  }
  return digests;
}

/** Inserts, updates and deletes of one to five rows that no other writer touches. */
function* smallTransactions(writer: number, writers: number, random: Random): Generator<Work, never> {
  const ids: number[] = [];
  let nextId = writer;
  for (;;) {
    const statements: string[] = [];
    const changes = new Map<string, string | undefined>();
    for (let left = random.below(5); left >= 0; left--) {
      const choice = random.below(10);
      const id = choice < 6 ? nextId : ids[random.below(ids.length)];
      if (id === undefined || changes.has(`row:${id}`)) continue;
      const payload = random.hex(random.below(800));
      if (choice < 6) {
        nextId += writers;
        ids.push(id);
        statements.push(`insert into ledger values (${id}, '${payload}')`);
      } else if (choice < 9) {
        statements.push(`update ledger set payload = '${payload}' where id = ${id}`);
      } else {
        ids.splice(ids.indexOf(id), 1);
        statements.push(`delete from ledger where id = ${id}`);
      }
      changes.set(`row:${id}`, choice < 9 ? createHash("md5").update(payload).digest("hex") : undefined);
    }
    if (statements.length > 0) yield { statements, changes };
  }
}

/** Rewrites one range of the churning table after another. */
function* bulkUpdates(ranges: number): Generator<Work, never> {
  for (let round = 1; ; round++) {
    const range = (round - 1) % ranges;
    const first = range * rowsPerRange + 1;
    const fresh = churnRows(first, first + rowsPerRange - 1, round);
    const update = `update churn set round = fresh.round, filler = fresh.filler from (${fresh}) as fresh where churn.id = fresh.id`;
    yield { statements: [update], changes: new Map([[`churn:${range}`, String(round)]]) };
  }
}

function churnRows(first: number, last: number, round: number): string {
  const filler = `repeat(md5(${round} || '.' || id), ${fillerBytes / 32})`;
  return `select id, ${round} as round, ${filler} as filler from generate_series(${first}, ${last}) as id`;
}

async function positionOf(client: Client): Promise<Position> {
  return parsePosition(await client.query(`select pg_current_wal_flush_lsn()::text as lsn, ${now} as time`));
}

function parsePosition(result: QueryResult<Record<string, string>> | undefined): Position {
  const { lsn, time } = result?.rows[0] ?? {};
  if (lsn === undefined || time === undefined) throw new Error("the server did not say where it is");
  return { lsn: parseLsn(lsn), time: BigInt(time) };
}
