import { EventEmitter } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import type pg from "pg";
import { describe, expect, test } from "vitest";
import { BaseBackupQuery } from "../../src/postgres/base-backup-query.ts";
import type { BaseBackupSink } from "../../src/postgres/base-backup-sink.ts";
import { PgarkError } from "../../src/errors.ts";

/** The driver's connection, as far as the query uses it. */
class FakeConnection extends EventEmitter {
  paused = false;
  destroyed = false;
  readonly sent: string[] = [];
  readonly stream = {
    pause: () => void (this.paused = true),
    resume: () => void (this.paused = false),
    destroy: () => void (this.destroyed = true),
  };
  query(sql: string): void {
    this.sent.push(sql);
  }
}

/** Notes what comes; `hold` makes the next calls wait until they are let go. */
class NotingSink implements BaseBackupSink {
  readonly notes: string[] = [];
  readonly held: (() => void)[] = [];
  hold = false;
  begin: BaseBackupSink["begin"] = ({ startLsn, timeline, tablespaces, size }) => {
    const spaces = tablespaces.map(({ oid, location, size: bytes }) => `${oid}@${location}/${bytes}`);
    return this.#note(`begin ${startLsn} ${timeline} [${spaces.join()}] ${size}`);
  };
  archive: BaseBackupSink["archive"] = ({ tablespaceOid }) => this.#note(`archive ${tablespaceOid}`);
  data: BaseBackupSink["data"] = (chunk) =>
    this.#note(`data ${Buffer.from(chunk).toString("latin1").replaceAll("\0", "0")}`);
  manifest: BaseBackupSink["manifest"] = (chunk) => this.#note(`manifest ${Buffer.from(chunk).toString()}`);
  #note(text: string): void | Promise<void> {
    this.notes.push(text);
    if (this.hold) return new Promise((resolve) => void this.held.push(resolve));
  }
}

function start(singleCopy: boolean) {
  const connection = new FakeConnection();
  const sink = new NotingSink();
  const query = new BaseBackupQuery({ sql: "BASE_BACKUP", singleCopy, sink });
  query.submit(connection as unknown as pg.Connection);
  return { connection, sink, query };
}

function sendRows(query: BaseBackupQuery, rows: readonly (readonly (string | null)[])[]): void {
  query.handleRowDescription();
  for (const fields of rows) query.handleDataRow({ fields });
  query.handleCommandComplete();
}

function sendCopy(query: BaseBackupQuery, text: string): void {
  query.handleCopyData({ chunk: Buffer.from(text) });
}

function sendBeginning(query: BaseBackupQuery): void {
  sendRows(query, [["0/2000028", "1"]]);
  sendRows(query, [
    ["16400", "/space", "2"],
    ["16401", "pg_tblspc/16401", null],
    [null, null, "3"],
  ]);
}

const BEGUN = "begin 33554472 1 [16400@/space/2048,16401@undefined/undefined] undefined";
const POSITIONS = { startLsn: 0x2000028n, startTimeline: 1, stopLsn: 0x2000100n, stopTimeline: 1 };

describe("the answer to BASE_BACKUP", () => {
  test("of 15 and later is one COPY of typed messages", async () => {
    const { connection, sink, query } = start(true);
    sendBeginning(query);
    connection.emit("copyOutResponse");
    for (const text of ["n16400.tar\0/space\0", "dab", "p12345678", "dc", "nbase.tar\0\0", "dx", "m", "d{}"])
      sendCopy(query, text);
    connection.emit("copyDone");
    sendRows(query, [["0/2000100", "1"]]);
    query.handleCommandComplete();
    query.handleReadyForQuery();
    expect(await query.result).toEqual(POSITIONS);
    expect(sink.notes).toEqual([
      BEGUN,
      "archive 16400",
      "data ab",
      "data c",
      "archive undefined",
      "data x",
      "manifest {}",
    ]);
    expect(connection.listenerCount("copyDone")).toBe(0);
  });

  test("of 14 is a COPY for each archive and the manifest, and the archives' missing ends are added", async () => {
    const { connection, sink, query } = start(false);
    sendBeginning(query);
    for (const text of ["ab", "c", "base", "{}"]) {
      connection.emit("copyOutResponse");
      sendCopy(query, text);
      connection.emit("copyDone");
    }
    sendRows(query, [["0/2000100", "1"]]);
    query.handleReadyForQuery();
    expect(await query.result).toEqual(POSITIONS);
    const end = `data ${"0".repeat(1024)}`;
    expect(sink.notes).toEqual([
      BEGUN,
      "archive 16400",
      "data ab",
      end,
      "archive 16401",
      "data c",
      end,
      "archive undefined",
      "data base",
      end,
      "manifest {}",
    ]);
  });
});

describe("while the sink is busy", () => {
  test("the socket is paused, and what was read already waits in order", async () => {
    const { connection, sink, query } = start(true);
    sendBeginning(query);
    connection.emit("copyOutResponse");
    sink.hold = true;
    for (const text of ["nbase.tar\0\0", "d1", "d2"]) sendCopy(query, text);
    connection.emit("copyDone");
    sendRows(query, [["0/2000100", "1"]]);
    query.handleReadyForQuery();
    for (const last of ["archive undefined", "data 1", "data 2"]) {
      expect(sink.notes.at(-1)).toBe(last);
      expect(connection.paused).toBe(true);
      sink.held.shift()?.();
      await turn();
    }
    expect(await query.result).toEqual(POSITIONS);
    expect(connection.paused).toBe(false);
  });

  test("an error of the server waits until all before it is handed on", async () => {
    const { sink, query } = start(true);
    sendBeginning(query);
    sink.hold = true;
    sendCopy(query, "nbase.tar\0\0");
    sendCopy(query, "d1");
    query.handleError(new Error("the server's"));
    sink.held.shift()?.();
    await turn();
    sink.held.shift()?.();
    await expect(query.result).rejects.toThrow("the server's");
    expect(sink.notes.at(-1)).toBe("data 1");
  });
});

describe("the connection is cut", () => {
  test.each<[string, BaseBackupSink["data"]]>([
    [
      "throws",
      () => {
        throw new Error("the sink's");
      },
    ],
    ["rejects", () => Promise.reject(new Error("the sink's"))],
  ])("when the sink %s", async (_, data) => {
    const { connection, sink, query } = start(true);
    sendBeginning(query);
    sink.data = data;
    sendCopy(query, "nbase.tar\0\0");
    sendCopy(query, "d1");
    sendCopy(query, "nnever.tar\0\0");
    await expect(query.result).rejects.toThrow("the sink's");
    expect(query.failedInSink).toBe(true);
    expect(connection.destroyed).toBe(true);
    expect(sink.notes.at(-1)).toBe("archive undefined");
  });

  test("when it is cancelled, also before it was sent", async () => {
    const query = new BaseBackupQuery({ sql: "BASE_BACKUP", singleCopy: true, sink: new NotingSink() });
    query.cancel(new PgarkError("aborted", "stopped", { operation: "test" }));
    const connection = new FakeConnection();
    query.submit(connection as unknown as pg.Connection);
    await expect(query.result).rejects.toThrow("stopped");
    expect(connection.sent).toEqual([]);
    expect(connection.destroyed).toBe(true);
  });

  test.each(["zunknown", "nodd.name\0\0"])("when the server sends %j", async (text) => {
    const { connection, query } = start(true);
    sendBeginning(query);
    sendCopy(query, text);
    await expect(query.result).rejects.toMatchObject({ code: "postgres" });
    expect(connection.destroyed).toBe(true);
  });

  test("when the answer ends without a stop position", async () => {
    const { query } = start(true);
    sendBeginning(query);
    query.handleReadyForQuery();
    await expect(query.result).rejects.toMatchObject({ code: "postgres" });
  });
});
