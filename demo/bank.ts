import { createHash } from "node:crypto";
import type { Client } from "pg";

const accountsEach = 100;
const openingBalance = 100_000;
const writers = 4;

const schema = `
  create table account (id integer primary key, balance bigint not null);
  create table transfer (id bigint primary key, debit integer not null, credit integer not null,
                         amount bigint not null, purpose text not null);
  insert into account select id, ${openingBalance} from generate_series(1, ${accountsEach * writers}) as id;
`;

/** What the bank's tables hold, row by row: "transfer 17" -> its columns. */
export type Book = ReadonlyMap<string, string>;

/**
 * A small bank that several connections write at once, and its ledger: every row that was committed is kept in memory, outside
 * of the database, to hold a restored one against. Each connection has accounts of its own, so that the order is known.
 */
export class Bank {
  /** transactions that the server has confirmed */
  committed = 0;
  readonly #connect: () => Promise<Client>;
  readonly #book = new Map<string, string>();
  readonly #balances = new Map<number, number>();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #writers: Promise<void>[] = [];
  #closed = false;
  #failure: unknown;
  #gate: PromiseWithResolvers<void> | undefined;

  constructor(connect: () => Promise<Client>) {
    this.#connect = connect;
  }

  async open(): Promise<void> {
    const client = await this.#connect();
    await client.query(schema);
    await client.end();
    for (let id = 1; id <= accountsEach * writers; id++) this.#setBalance(id, openingBalance);
    for (let writer = 0; writer < writers; writer++) {
      this.#writers.push(
        this.#write(await this.#connect(), writer).catch((error: unknown) => {
          // Once the server is to die, writers may find it dead.
          if (!this.#closed) this.#failure ??= error;
        }),
      );
    }
  }

  /** Lets nobody write while `look` runs: what the ledger holds then is what the database holds, to the last row. */
  async standStill<T>(look: (book: Book) => Promise<T>): Promise<T> {
    const gate = Promise.withResolvers<void>();
    this.#gate = gate;
    try {
      await Promise.all(this.#inFlight);
      this.throwIfBroken();
      return await look(new Map(this.#book));
    } finally {
      this.#gate = undefined;
      gate.resolve();
    }
  }

  throwIfBroken(): void {
    if (this.#failure !== undefined) throw new Error("the load broke off", { cause: this.#failure });
  }

  /** No more transactions, and no more complaints. */
  close(): void {
    this.#closed = true;
  }

  async untilClosed(): Promise<void> {
    await Promise.all(this.#writers);
  }

  async #write(client: Client, writer: number): Promise<void> {
    try {
      for (let number = 1; !this.#closed; number++) {
        if (this.#gate !== undefined) await this.#gate.promise;
        const transaction = this.#transfer(client, writer, number);
        this.#inFlight.add(transaction);
        await transaction.finally(() => this.#inFlight.delete(transaction));
      }
    } finally {
      await client.end();
    }
  }

  async #transfer(client: Client, writer: number, number: number): Promise<void> {
    const account = (): number => writer * accountsEach + 1 + Math.floor(Math.random() * accountsEach);
    const [id, debit, amount] = [number * writers + writer, account(), 1 + Math.floor(Math.random() * 500)];
    let credit = account();
    while (credit === debit) credit = account();
    const purpose = createHash("sha256").update(`${id} ${Math.random()}`).digest("hex").repeat(4);
    await client.query(
      `begin;
       insert into transfer values (${id}, ${debit}, ${credit}, ${amount}, '${purpose}');
       update account set balance = balance - ${amount} where id = ${debit};
       update account set balance = balance + ${amount} where id = ${credit};
       commit`,
    );
    this.#book.set(`transfer ${id}`, `${debit} -> ${credit}: ${amount}, ${purpose}`);
    this.#setBalance(debit, (this.#balances.get(debit) ?? 0) - amount);
    this.#setBalance(credit, (this.#balances.get(credit) ?? 0) + amount);
    this.committed++;
  }

  #setBalance(id: number, balance: number): void {
    this.#balances.set(id, balance);
    this.#book.set(`account ${id}`, String(balance));
  }
}

/** Every row of the bank as a database has it. */
export async function readBook(client: Client): Promise<Book> {
  const { rows } = await client.query<{ key: string; value: string }>(
    `select 'account ' || id as key, balance::text as value from account
     union all
     select 'transfer ' || id, debit || ' -> ' || credit || ': ' || amount || ', ' || purpose from transfer`,
  );
  return new Map(rows.map(({ key, value }) => [key, value]));
}

/** One line for each row that is not as the ledger says; none when the books agree. */
export function differences(expected: Book, found: Book): readonly string[] {
  const lines: string[] = [];
  for (const key of new Set([...expected.keys(), ...found.keys()])) {
    const [want, have] = [expected.get(key), found.get(key)];
    if (want === have) continue;
    lines.push(`${key}: the ledger has ${brief(want)}, the database has ${brief(have)}`);
  }
  return lines;
}

/** SHA-256 over all rows in order. */
export function digest(book: Book): string {
  const hash = createHash("sha256");
  for (const key of [...book.keys()].sort()) hash.update(`${key}\t${book.get(key)}\n`);
  return hash.digest("hex");
}

function brief(value: string | undefined): string {
  if (value === undefined) return "no such row";
  return value.length > 60 ? `"${value.slice(0, 60)}..."` : `"${value}"`;
}
