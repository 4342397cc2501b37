import type pg from "pg";
import { PgarkError } from "../errors.ts";
import { parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { parseTimelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";
import type { BaseBackupPositions, BaseBackupSink, StreamedTablespace } from "./base-backup-sink.ts";

export interface BaseBackupQueryOptions {
  readonly sql: string;
  /** PostgreSQL 15 and later send all archives in one COPY, each message with a type; before, each archive is a COPY */
  readonly singleCopy: boolean;
  readonly sink: BaseBackupSink;
}

type Step = () => void | Promise<void>;
type DataRow = readonly (string | null)[];

/** What ends a tar archive. Before 15, the server leaves it out. */
const TAR_END = new Uint8Array(1024);

const MESSAGE_NEW_ARCHIVE = 0x6e; // n
const MESSAGE_DATA = 0x64; // d
const MESSAGE_MANIFEST = 0x6d; // m
const MESSAGE_PROGRESS = 0x70; // p

/**
 * A query object for the driver's queue (as its own cursors are) that speaks the answer of BASE_BACKUP: the start position,
 * the tablespaces, the archives and the manifest as COPY data, the stop position.
 *
 * The driver knows no back-pressure. Messages become steps; while the promise of a step is awaited, the socket is paused and
 * the messages that the driver had already read queue up behind it, so that order is kept and memory bounded.
 */
export class BaseBackupQuery implements pg.Submittable {
  readonly result: Promise<BaseBackupPositions>;
  /** whether the failure is the sink's own error */
  failedInSink = false;
  readonly #options: BaseBackupQueryOptions;
  readonly #steps: Step[] = [];
  readonly #resolve: (positions: BaseBackupPositions) => void;
  readonly #reject: (error: unknown) => void;
  #connection: pg.Connection | undefined;
  #busy = false;
  #settled = false;
  #error: unknown;
  #resultSets: DataRow[][] = [];
  #tablespaces: readonly (StreamedTablespace | undefined)[] = [];
  #copies = 0;
  #inManifest = false;
  #positions: BaseBackupPositions | undefined;

  constructor(options: BaseBackupQueryOptions) {
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<BaseBackupPositions>();
    this.result = promise;
    // whoever cancels before the result is awaited must not bring the process down
    promise.catch(() => {});
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The positions, once the server has sent everything. */
  complete(): BaseBackupPositions | undefined {
    return this.#positions;
  }

  /** Fails the result with `error` and cuts the connection, for the server would go on sending. */
  cancel(error: unknown): void {
    this.#settle(() => this.#reject(error));
    this.#connection?.stream.destroy();
  }

  submit(connection: pg.Connection): void {
    if (this.#settled) {
      connection.stream.destroy();
      return;
    }
    this.#connection = connection;
    connection.on("copyOutResponse", this.#onCopyOut);
    connection.on("copyDone", this.#onCopyDone);
    connection.query(this.#options.sql);
  }

  handleRowDescription(): void {
    this.#enqueue(() => void this.#resultSets.push([]));
  }

  handleDataRow(message: { readonly fields: DataRow }): void {
    this.#enqueue(() => void this.#resultSets.at(-1)?.push(message.fields));
  }

  handleCommandComplete(): void {
    this.#enqueue(() => {
      const sets = this.#resultSets.length;
      if (sets === 2 && this.#copies === 0) return this.#begin();
      // twice: the tag of the whole command follows that of the last result set
      if (sets === 3) this.#end();
    });
  }

  handleCopyData(message: { readonly chunk: Uint8Array }): void {
    this.#enqueue(() => this.#copyData(message.chunk));
  }

  handleError(error: unknown): void {
    // what came before the error is still handed on: after a checksum failure the backup is whole
    this.#error = error;
    this.#enqueue(() => this.#settle(() => this.#reject(error)));
  }

  handleReadyForQuery(): void {
    this.#enqueue(() => {
      const positions = this.#positions;
      if (this.#error !== undefined) return;
      if (positions === undefined) this.cancel(protocolError("the answer ended early"));
      else this.#settle(() => this.#resolve(positions));
    });
  }

  handlePortalSuspended(): void {}

  handleEmptyQuery(): void {}

  readonly #onCopyOut = (): void => {
    this.#enqueue(() => {
      this.#copies++;
      return this.#options.singleCopy ? undefined : this.#beginArchiveOrManifest();
    });
  };

  readonly #onCopyDone = (): void => {
    this.#enqueue(() => (this.#options.singleCopy || this.#inManifest ? undefined : this.#options.sink.data(TAR_END)));
  };

  /** Runs a step now, or after those that wait. */
  #enqueue(step: Step): void {
    if (this.#settled) return;
    this.#steps.push(step);
    if (!this.#busy) this.#drain();
  }

  #drain(): void {
    for (let step = this.#steps.shift(); step !== undefined && !this.#settled; step = this.#steps.shift()) {
      let pending: void | Promise<void>;
      try {
        pending = step();
      } catch (error) {
        this.#failInSink(error);
        return;
      }
      if (pending === undefined) continue;
      this.#wait(pending);
      return;
    }
  }

  #wait(pending: Promise<void>): void {
    this.#busy = true;
    this.#connection?.stream.pause();
    pending.then(
      () => {
        this.#busy = false;
        this.#drain();
        if (!this.#busy) this.#connection?.stream.resume();
      },
      (error: unknown) => this.#failInSink(error),
    );
  }

  #failInSink(error: unknown): void {
    this.failedInSink = true;
    this.cancel(error);
  }

  #settle(settle: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#steps.length = 0;
    this.#connection?.off("copyOutResponse", this.#onCopyOut);
    this.#connection?.off("copyDone", this.#onCopyDone);
    this.#connection?.stream.resume();
    settle();
  }

  #begin(): void | Promise<void> {
    const [start, tablespaceRows = []] = this.#resultSets;
    const { lsn, timeline } = readPosition(start);
    this.#tablespaces = tablespaceRows.map(readTablespace);
    const sizes = tablespaceRows.map((row) => readSize(row[2]));
    const size = sizes.reduce<number | undefined>(
      (sum, one) => (sum === undefined || one === undefined ? undefined : sum + one),
      0,
    );
    const tablespaces = this.#tablespaces.filter((tablespace) => tablespace !== undefined);
    return this.#options.sink.begin({ startLsn: lsn, timeline, tablespaces, size });
  }

  #end(): void {
    const start = readPosition(this.#resultSets[0]);
    const stop = readPosition(this.#resultSets[2]);
    this.#positions = {
      startLsn: start.lsn,
      startTimeline: start.timeline,
      stopLsn: stop.lsn,
      stopTimeline: stop.timeline,
    };
  }

  /** Before 15: archives come in the order of the tablespaces' rows, the manifest after the last. */
  #beginArchiveOrManifest(): void | Promise<void> {
    const index = this.#copies - 1;
    this.#inManifest = index >= this.#tablespaces.length;
    if (!this.#inManifest) return this.#options.sink.archive({ tablespaceOid: this.#tablespaces[index]?.oid });
  }

  #copyData(chunk: Uint8Array): void | Promise<void> {
    const { singleCopy, sink } = this.#options;
    if (!singleCopy) return this.#inManifest ? sink.manifest(chunk) : sink.data(chunk);
    switch (chunk[0]) {
      case MESSAGE_NEW_ARCHIVE:
        return sink.archive({ tablespaceOid: readArchiveOid(chunk) });
      case MESSAGE_DATA:
        return this.#inManifest ? sink.manifest(chunk.subarray(1)) : sink.data(chunk.subarray(1));
      case MESSAGE_MANIFEST:
        this.#inManifest = true;
        return;
      case MESSAGE_PROGRESS:
        return;
      default:
        throw protocolError(`a message of type ${chunk[0]}`);
    }
  }
}

/** The name of an archive, `base.tar` or `<oid>.tar`, ends at the first zero byte. */
function readArchiveOid(chunk: Uint8Array): number | undefined {
  const name = Buffer.from(chunk.subarray(1, chunk.indexOf(0, 1))).toString("latin1");
  if (name === "base.tar") return undefined;
  const match = /^(\d+)\.tar$/.exec(name);
  if (match === null) throw protocolError(`an archive named "${name}"`);
  return Number(match[1]);
}

function readPosition(rows: readonly DataRow[] | undefined): { readonly lsn: Lsn; readonly timeline: TimelineId } {
  const [lsn, timeline] = rows?.[0] ?? [];
  if (typeof lsn !== "string" || typeof timeline !== "string") throw protocolError("no position");
  return { lsn: parseLsn(lsn), timeline: parseTimelineId(timeline) };
}

/** PGDATA has a row as well, without an oid; an in-place tablespace has a location relative to PGDATA. */
function readTablespace([oid, location, size]: DataRow): StreamedTablespace | undefined {
  if (oid === null || oid === undefined) return undefined;
  return {
    oid: Number(oid),
    location: typeof location === "string" && location.startsWith("/") ? location : undefined,
    size: readSize(size),
  };
}

/** KiB in the protocol. */
function readSize(text: string | null | undefined): number | undefined {
  return text === null || text === undefined ? undefined : Number(text) * 1024;
}

function protocolError(problem: string): PgarkError {
  return new PgarkError("postgres", `unexpected answer of the server to BASE_BACKUP: ${problem}`, {
    operation: "take base backup",
    hint: "the server may be newer than this pgark knows",
  });
}
