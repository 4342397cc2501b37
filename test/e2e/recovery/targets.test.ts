import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { until } from "../../helpers/processes.ts";
import { archiveCurrentSegment } from "../helpers/archiving-cluster.ts";
import { type RecoveryArchive, rowsOf, startRecoveryArchive, untilPromoted } from "../helpers/recovery-archive.ts";

// Several servers, one after the other, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

/** What is known of one committed row. */
interface Row {
  readonly xid: string;
  /** where its commit record begins */
  readonly commitLsn: string;
  /** the time in its commit record, microseconds and zone: "2026-11-20 10:00:00.123456+00" */
  readonly time: string;
}

const rows: Row[] = [];
let archive: RecoveryArchive;
let firstBackup: string;

/** Commits row `id` in a transaction of its own, and says all that recovery can aim at. */
async function commitRow(server: Cluster, id: number): Promise<Row> {
  const client = await server.connect();
  try {
    await client.query("begin");
    await client.query("insert into t values ($1)", [id]);
    const { rows: found } = await client.query<{ xid: string; lsn: string }>(
      "select pg_current_xact_id()::text as xid, pg_current_wal_insert_lsn()::text as lsn",
    );
    await client.query("commit");
    const { xid = "", lsn = "" } = found[0] ?? {};
    const { rows: times } = await client.query<{ time: string }>(
      "select to_char(pg_xact_commit_timestamp($1::xid) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00') as time",
      [xid],
    );
    return { xid, commitLsn: lsn, time: times[0]?.time ?? "" };
  } finally {
    await client.end();
  }
}

/** Row 1 is before the first backup, 2 and 3 are between the two, 4 to 6 after them; "middle" lies behind 4. */
beforeAll(async () => {
  archive = await startRecoveryArchive({ config: { track_commit_timestamp: true } });
  const source = archive.cluster;
  await source.query("create table t (id int)");
  const commit = async (id: number): Promise<void> => {
    rows[id] = await commitRow(source, id);
    // A time is told apart from the next commit's in whole milliseconds too.
    await delay(3);
  };
  await commit(1);
  firstBackup = await archive.backup();
  await commit(2);
  await commit(3);
  await archive.backup();
  await commit(4);
  await source.query("select pg_create_restore_point('middle')");
  await commit(5);
  await archiveCurrentSegment(source);
  await commit(6);
  await archiveCurrentSegment(source);
  await source.stop();
}, 120_000);

const row = (id: number): Row => {
  const found = rows[id];
  if (found === undefined) throw new Error(`row ${id} was not written`);
  return found;
};
const milliseconds = (time: string): string => time.slice(0, 23).replace(" ", "T");

describe("a restore on PostgreSQL 17 ends exactly where it was told to", () => {
  test.each<readonly [string, () => readonly string[], readonly number[]]>([
    ["latest: the end of the archive", () => [], [1, 2, 3, 4, 5, 6]],
    ["immediate: the end of the newest backup", () => ["--to", "immediate"], [1, 2, 3]],
    ["immediate, from a named backup", () => ["--to", "immediate", "--backup", firstBackup], [1]],
    ["latest, from a named backup", () => ["--backup", firstBackup], [1, 2, 3, 4, 5, 6]],
    ["the very microsecond of a commit, inclusive", () => ["--to", row(5).time], [1, 2, 3, 4, 5]],
    ["the very microsecond of a commit, exclusive", () => ["--to", row(5).time, "--exclusive"], [1, 2, 3, 4]],
    ["a transaction, inclusive", () => ["--to", `xid:${row(5).xid}`], [1, 2, 3, 4, 5]],
    ["a transaction, exclusive", () => ["--to", `xid:${row(5).xid}`, "--exclusive"], [1, 2, 3, 4]],
    ["a transaction between two backups", () => ["--to", `xid:${row(2).xid}`, "--backup", firstBackup], [1, 2]],
    ["the LSN of a commit record, inclusive", () => ["--to", `lsn:${row(4).commitLsn}`], [1, 2, 3, 4]],
    ["the LSN of a commit record, exclusive", () => ["--to", `lsn:${row(4).commitLsn}`, "--exclusive"], [1, 2, 3]],
    ["an LSN between two backups, which needs the first", () => ["--to", `lsn:${row(2).commitLsn}`], [1, 2]],
    ["a restore point", () => ["--to", "name:middle"], [1, 2, 3, 4]],
  ])("%s", async (name, args, expected) => {
    const folder = name.replaceAll(/\W+/g, "-");
    await using server = await archive.restore(folder, ...args(), "--action", "promote");
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual(expected);
  });

  test("a time without a zone is local time, and the plan echoes it in UTC", async () => {
    const utc = Date.parse(`${milliseconds(row(5).time)}Z`);
    // One millisecond on, so that the commit's microseconds are passed; Kathmandu is 5:45 east of UTC.
    const local = new Date(utc + 1 + 345 * 60_000).toISOString().slice(0, 23).replace("T", " ");
    const result = await archive.run(["plan", "--json", "--to", local], { env: { TZ: "Asia/Kathmandu" } });
    const plan = JSON.parse(result.stdout) as { target: { text: string; time: string } };
    expect(plan.target.time).toBe(new Date(utc + 1).toISOString());
    await using server = await archive.restore("local-time", "--to", plan.target.text, "--action", "promote");
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual([1, 2, 3, 4, 5]);
  });

  test("pause: the rows can be read, and resuming opens the database for writing", async () => {
    await using server = await archive.restore("pause", "--to", "name:middle");
    await server.start();
    await until(async () => {
      const [state] = await server.query<{ state: string }>("select pg_get_wal_replay_pause_state() as state");
      return state?.state === "paused";
    }, "replay to pause");
    expect(await rowsOf(server)).toEqual([1, 2, 3, 4]);
    await expect(server.query("insert into t values (7)")).rejects.toThrow(/read-only/);
    await server.query("select pg_wal_replay_resume()");
    await untilPromoted(server);
    await server.query("insert into t values (7)");
    expect(await rowsOf(server)).toEqual([1, 2, 3, 4, 7]);
  });

  test("shutdown: the server ends at the target by itself, and goes on when it is told another action", async () => {
    await using server = await archive.restore("shutdown", "--to", "name:middle", "--action", "shutdown");
    await server.start().catch(() => undefined);
    await until(() => !server.isRunning(), "the server to shut down");
    expect(await server.log()).toContain("shutdown at recovery target");
    // What postgresql.auto.conf says goes before postgresql.conf, so it is changed there.
    const file = join(server.pgdata, "postgresql.auto.conf");
    await writeFile(file, (await readFile(file, "utf8")).replace("'shutdown'", "'promote'"));
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual([1, 2, 3, 4]);
  });
});
