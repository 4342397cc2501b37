import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatLsn, parseLsn } from "../../src/postgres/lsn.ts";
import type { Lsn } from "../../src/postgres/lsn.ts";
import { parseTimelineHistory, timelineId } from "../../src/postgres/timeline.ts";
import { parseWalFileName } from "../../src/postgres/wal-file-name.ts";
import { readWalHeader } from "../../src/postgres/wal-header.ts";
import type { WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";
import { type Cluster, createCluster } from "../helpers/cluster.ts";
import type { Major } from "../helpers/postgres-programs.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

/** What the server says of a record. */
export interface ServersRecord {
  readonly lsn: string;
  readonly resourceManager: string;
  readonly xid: number;
  readonly length: number;
  /** of ends of transactions and of recovery, and of restore points, in the words of `describeRecord` */
  readonly description: string;
}

/** The WAL of a cluster that has been through everything, and what its server knows of it. */
export interface EventfulWal {
  readonly major: Major;
  readonly walDirectory: string;
  readonly segmentSize: number;
  /** the last WAL of timeline 1, which counts up to the switch point, and what leads to the end of timeline 2 */
  readonly oldTimeline: WalSegmentInput;
  readonly path: readonly WalSegmentInput[];
  readonly switchPoint: Lsn;
  /** where a record was left unfinished by a crash */
  readonly lost: Lsn;
  /** all that came to disk, up to here */
  readonly flushed: Lsn;
  /** from `pg_walinspect`, which 14 lacks */
  readonly records: readonly ServersRecord[] | undefined;
  readonly restorePoints: readonly { readonly name: string; readonly end: string }[];
  /** when each transaction committed, in microseconds since 1970, as the server remembers it; not those of initdb */
  readonly commitTimes: ReadonlyMap<number, bigint>;
}

/**
 * A load of every kind of record that matters, with records longer than a segment, switches and full page images in both forms;
 * then a crash that loses the end of a record; then a promotion.
 */
export async function eventfulWal(major: Major): Promise<EventfulWal> {
  // pg_walinspect, which 14 lacks, prints all that a record holds
  const segmentMb = major === 14 ? 16 : 1;
  const { path: directory } = await temporaryDirectory("eventful-wal");
  const config = {
    wal_level: "logical",
    track_commit_timestamp: true,
    max_prepared_transactions: 5,
    wal_keep_size: "1GB",
    max_wal_size: "4GB",
    autovacuum: false,
    // a server that archives keeps the last segment of a timeline that was left as a .partial file
    archive_mode: major === 16 || major === 17,
    archive_command: "true",
  };
  const cluster = await createCluster({ major, directory, config, walSegmentSizeMb: segmentMb });
  const walDirectory = join(cluster.pgdata, "pg_wal");
  await cluster.start();
  const restorePoints = await ordinaryLoad(cluster, segmentMb << 20);
  const lost = await loseEndOfRecord(cluster, segmentMb << 20);
  await cluster.query("INSERT INTO account SELECT n, 0, 'after the crash' FROM generate_series(10001, 10500) AS n");
  await cluster.stop();
  await writeFile(join(cluster.pgdata, "standby.signal"), "");
  await cluster.start();
  await cluster.promote();
  restorePoints.push(await createRestorePoint(cluster, "on the second timeline"));
  await manyTransactions(cluster, 11_000, 50);
  const [at] = await cluster.query<{ flushed: string }>("SELECT pg_current_wal_flush_lsn() AS flushed");
  const flushed = at?.flushed ?? "";
  const files = await readWal(walDirectory, parseLsn(flushed), segmentMb << 20);
  const first = files[0] === undefined ? "" : formatLsn(readWalHeader(files[0].bytes).pageAddress);
  const records = major === 14 ? undefined : await inspect(cluster, first, flushed);
  const times = await commitTimes(cluster);
  await cluster.stop("immediate");
  const history = parseTimelineHistory(await readFile(join(walDirectory, "00000002.history"), "utf8"), timelineId(2));
  const switchPoint = history.ancestors[0]?.switchPoint ?? parseLsn("0/0");
  const young = files.filter(({ name }) => name.timeline === 2);
  const old = files.filter(({ name }) => name.timeline === 1);
  const oldTimeline = old.at(-1);
  if (oldTimeline === undefined) throw new Error("there is no WAL of timeline 1");
  return {
    major,
    walDirectory,
    segmentSize: segmentMb << 20,
    oldTimeline,
    path: [...old.slice(0, -1), ...young],
    switchPoint,
    lost,
    flushed: parseLsn(flushed),
    records,
    restorePoints,
    commitTimes: times,
  };
}

async function ordinaryLoad(cluster: Cluster, segmentSize: number): Promise<{ name: string; end: string }[]> {
  const client = await cluster.connect();
  const run = async (...statements: readonly string[]): Promise<void> => {
    for (const statement of statements) await client.query(statement);
  };
  const points: { name: string; end: string }[] = [];
  if (cluster.major >= 15) await run("CREATE EXTENSION pg_walinspect");
  await run(
    "CREATE TABLE account (id int PRIMARY KEY, balance int, filler text)",
    "CREATE TABLE wide (content text)",
    "ALTER TABLE wide ALTER COLUMN content SET STORAGE EXTERNAL",
    "INSERT INTO account SELECT n, 0, repeat('x', 80) FROM generate_series(1, 5000) AS n",
    "CHECKPOINT",
  );
  await manyTransactions(cluster, 1, 300);
  points.push(await createRestorePoint(cluster, "before the flood"));
  await run(
    "SET wal_compression = on",
    "CHECKPOINT",
    "UPDATE account SET balance = 1",
    "SELECT pg_switch_wal()",
    "INSERT INTO wide SELECT string_agg(md5(n::text), '') FROM generate_series(1, 30000) AS n",
    // a record for each page of a relation is as long as a few pages
    "CREATE INDEX ON account (filler)",
    `SELECT pg_logical_emit_message(false, 'pgark', repeat('y', ${Math.floor(2.2 * segmentSize)}))`,
    "SELECT pg_logical_emit_message(true, 'pgark', repeat('z', 700 * 1024))",
    `DO $$ BEGIN
       FOR n IN 1..200 LOOP
         BEGIN
           INSERT INTO account VALUES (20000 + n, n, 'sub');
           IF n % 3 = 0 THEN RAISE division_by_zero; END IF;
         EXCEPTION WHEN division_by_zero THEN NULL;
         END;
       END LOOP; END $$`,
    "BEGIN",
    "DELETE FROM account WHERE id < 100",
    "ROLLBACK",
  );
  for (const [name, end] of [
    ["one", "COMMIT"],
    ["two", "ROLLBACK"],
  ]) {
    await run(
      `CREATE TABLE dropped_${name} AS SELECT 1 AS n`,
      "BEGIN",
      "SAVEPOINT a",
      `DROP TABLE dropped_${name}`,
      `CREATE TABLE created_${name} (n int PRIMARY KEY)`,
      "RELEASE a",
      `PREPARE TRANSACTION '${name}'`,
      `${end} PREPARED '${name}'`,
    );
  }
  points.push(await createRestorePoint(cluster, "nach der Sintflut, größer"));
  await run("SELECT pg_switch_wal()", "TRUNCATE wide", "VACUUM account", "CHECKPOINT");
  await client.end();
  return points;
}

async function manyTransactions(cluster: Cluster, from: number, count: number): Promise<void> {
  await cluster.query(`DO $$ BEGIN
    FOR n IN ${from}..${from + count - 1} LOOP
      INSERT INTO account VALUES (30000 + n, n, 'many') ON CONFLICT DO NOTHING;
      UPDATE account SET balance = balance + n WHERE id = n;
      COMMIT;
    END LOOP; END $$`);
}

async function createRestorePoint(cluster: Cluster, name: string): Promise<{ name: string; end: string }> {
  const [row] = await cluster.query<{ end: string }>('SELECT pg_create_restore_point($1) AS "end"', [name]);
  return { name, end: row?.end ?? "" };
}

/** A crash after which WAL ends in the middle of a record that began before the segments which are lost. */
async function loseEndOfRecord(cluster: Cluster, segmentSize: number): Promise<Lsn> {
  await cluster.query("CHECKPOINT");
  const [row] = await cluster.query<{ before: string }>("SELECT pg_current_wal_insert_lsn() AS before");
  const before = parseLsn(row?.before ?? "");
  const length = segmentSize + 100_000;
  await cluster.query(`SELECT pg_logical_emit_message(false, 'lost', repeat('l', ${length})), pg_current_xact_id()`);
  await cluster.kill9();
  const firstLost = before / BigInt(segmentSize) + 1n;
  const directory = join(cluster.pgdata, "pg_wal");
  for (const file of await readdir(directory)) {
    const name = parseWalFileName(file);
    if (name?.kind === "segment" && BigInt(name.segment) >= firstLost) await rm(join(directory, file));
  }
  await cluster.start();
  return before;
}

async function inspect(cluster: Cluster, first: string, flushed: string): Promise<ServersRecord[]> {
  const rows = await cluster.query<{ values: string }>(
    `SELECT concat_ws(E'\\t', start_lsn, resource_manager, xid, record_length,
                      CASE WHEN resource_manager IN ('Transaction', 'XLOG') THEN record_type || ' ' || description END)
         AS values
       FROM pg_get_wal_records_info($1, $2)`,
    [first, flushed],
  );
  return rows.map(({ values }) => {
    const [lsn = "", resourceManager = "", xid = "", length, text = ""] = values.split("\t");
    return { lsn, resourceManager, xid: Number(xid), length: Number(length), description: describeText(text, xid) };
  });
}

/** The kind of a record and its description, as PostgreSQL words them, in the words of `describeRecord`. */
export function describeText(text: string, xid: string): string {
  const end = /^(COMMIT|ABORT)(?:_PREPARED)? (?:(\d+): )?([-\d]+ [:\d]+)(?:\.(\d+))?(?:\+00| UTC)/.exec(text);
  if (end !== null) {
    const [, kind = "", prepared = xid, second = "", fraction = ""] = end;
    const time = `${Date.parse(`${second}Z`) / 1000}${fraction.padEnd(6, "0")}`;
    return `${kind.toLowerCase()} of ${prepared} at ${time}`;
  }
  const point = /^RESTORE_POINT (.*)$/.exec(text);
  if (point !== null) return `restore point "${point[1]}"`;
  const recovery = /^END_OF_RECOVERY tli (\d+); prev tli (\d+)/.exec(text);
  return recovery === null ? "" : `end of recovery ${recovery[2]} to ${recovery[1]}`;
}

/** The segments up to the one that `flushed` lies in; those behind it are kept for later use and hold old WAL. */
async function readWal(directory: string, flushed: Lsn, segmentSize: number): Promise<WalSegmentInput[]> {
  const segments: WalSegmentInput[] = [];
  for (const file of (await readdir(directory)).toSorted()) {
    const name = parseWalFileName(file);
    if (name?.kind !== "segment" && name?.kind !== "partial") continue;
    if (BigInt(name.segment) > flushed / BigInt(segmentSize)) continue;
    segments.push({ name, bytes: await readFile(join(directory, file)) });
  }
  return segments;
}

async function commitTimes(cluster: Cluster): Promise<ReadonlyMap<number, bigint>> {
  const rows = await cluster.query<{ xid: string; time: string }>(
    `SELECT xid, (extract(epoch FROM time) * 1000000)::bigint AS time
       FROM generate_series(3, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1) AS xid,
            pg_xact_commit_timestamp(xid::text::xid) AS time
      WHERE time IS NOT NULL`,
  );
  return new Map(rows.map(({ xid, time }) => [Number(xid), BigInt(time)]));
}
