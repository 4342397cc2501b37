import { readFileSync } from "node:fs";
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseBackupLabel } from "../../src/postgres/backup-label.ts";
import { beginBackup, endBackup, requireOneTimeline } from "../../src/postgres/backup-session.ts";
import { connect } from "../../src/postgres/connection.ts";
import type { Session } from "../../src/postgres/connection.ts";
import { readClusterIdentity, readControlFile } from "../../src/postgres/control-file.ts";
import { parseLsn } from "../../src/postgres/lsn.ts";
import { readRedoPosition } from "../../src/postgres/redo-position.ts";
import { identifySystem } from "../../src/postgres/replication.ts";
import { readServerInfo } from "../../src/postgres/server-info.ts";
import { formatTimelineHistory, parseTimelineHistory, timelineId } from "../../src/postgres/timeline.ts";
import { parseWalFileName, segmentNumber, segmentNumberOfLsn } from "../../src/postgres/wal-file-name.ts";
import { verifyWalSegment } from "../../src/postgres/wal-header.ts";
import { type Cluster, createCluster, openCluster } from "../helpers/cluster.ts";
import { until } from "../helpers/processes.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { rejectionOf } from "./errors.ts";

async function open(cluster: Cluster, replication = false): Promise<Session> {
  const session = await connect({ connectionString: cluster.connectionString, replication, environment: {} });
  onTestFinished(() => session.end());
  return session;
}

/** A standby that streams from `primary`. */
async function startStandby(primary: Cluster, directory: string): Promise<Cluster> {
  await primary.stop();
  const pgdata = join(directory, "standby");
  await mkdir(directory, { recursive: true });
  await cp(primary.pgdata, pgdata, { recursive: true });
  await rm(join(pgdata, "postmaster.opts"), { force: true });
  await writeFile(join(pgdata, "standby.signal"), "");
  await primary.start();
  const primary_conninfo = `host=${primary.socketDirectory} port=${primary.port} user=postgres`;
  const standby = await openCluster({ major: primary.major, config: { primary_conninfo } }, pgdata);
  await standby.start();
  return standby;
}

describe.each([14, 18] as const)("a standby of PostgreSQL %d", (major) => {
  test("is known for one, is backed up, and is on a new timeline once it is promoted", async () => {
    const directory = (await temporaryDirectory()).path;
    await using primary = await createCluster({ major, directory, walSegmentSizeMb: 1 });
    await primary.start();
    await using standby = await startStandby(primary, directory);
    await primary.query("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n");
    await primary.query("CHECKPOINT");
    await until(async () => {
      const [row] = await standby.query<{ there: boolean }>("SELECT to_regclass('t') IS NOT NULL AS there");
      return row?.there === true;
    }, "the standby to replay");

    const session = await open(standby);
    expect(await readServerInfo(session)).toMatchObject({
      identity: readClusterIdentity(primary.pgdata),
      inRecovery: true,
      timeline: 1,
      walSegmentSize: 1024 * 1024,
    });
    // What came since the primary's checkpoint has been replayed, and a backup begins before it all the same.
    await primary.query("CREATE TABLE since AS SELECT n FROM generate_series(1, 1000) AS n");
    await until(async () => {
      const [row] = await standby.query<{ there: boolean }>("SELECT to_regclass('since') IS NOT NULL AS there");
      return row?.there === true;
    }, "the standby to replay more");
    const [replayed] = await standby.query<{ lsn: string }>("SELECT pg_last_wal_replay_lsn()::text AS lsn");
    const redo = await readRedoPosition(session);
    const begun = await beginBackup(session, { label: "from a standby", fast: true });
    expect(begun.startLsn).toBeGreaterThanOrEqual(redo.lsn);
    expect(begun.startLsn).toBeLessThan(parseLsn(replayed?.lsn ?? ""));
    expect(begun.timeline).toBeUndefined();
    const ended = await endBackup(session);
    expect(parseBackupLabel(ended.labelFile)).toMatchObject({ from: "standby", startLsn: begun.startLsn });
    expect(ended.timeline).toBe(1);
    expect(ended.stopLsn).toBeGreaterThanOrEqual(begun.startLsn);
    expect(readControlFile(standby.pgdata)).toMatchObject({ state: "in archive recovery", minRecoveryTimeline: 1 });
    expect(readControlFile(standby.pgdata).minRecoveryPoint).toBeGreaterThan(0n);

    await beginBackup(session, { label: "promoted meanwhile", fast: true });
    await standby.promote();
    expect((await rejectionOf(endBackup(session))).message).toMatch(/promoted/);
    expect((await readServerInfo(session)).timeline).toBe(2);
    expect((await identifySystem(await open(standby, true))).timeline).toBe(2);

    const pgWal = join(standby.pgdata, "pg_wal");
    const text = readFileSync(join(pgWal, "00000002.history"), "utf8");
    const history = parseTimelineHistory(text, timelineId(2));
    expect(history.ancestors).toMatchObject([{ timeline: 1, reason: "no recovery target specified" }]);
    expect(formatTimelineHistory(history)).toBe(text);

    // the first segment of the new timeline begins with the old one's pages
    await standby.query("CREATE TABLE written_after AS SELECT 1 AS n");
    const identity = readClusterIdentity(standby.pgdata);
    const switchPoint = history.ancestors[0]?.switchPoint ?? begun.startLsn;
    const timelines = new Map<bigint, number>();
    for (const file of await readdir(pgWal)) {
      const name = parseWalFileName(file);
      if (name?.kind !== "segment" || name.timeline !== 2) continue;
      const number = segmentNumber(name, 1024 * 1024);
      if (number > segmentNumberOfLsn(switchPoint, 1024 * 1024)) continue;
      timelines.set(number, verifyWalSegment({ name, bytes: readFileSync(join(pgWal, file)), identity }).timeline);
    }
    expect(timelines.get(segmentNumberOfLsn(switchPoint, 1024 * 1024))).toBe(1);
  });
});

test("a backup from a standby that followed its primary to another timeline is refused: it would need WAL of both", async () => {
  const directory = (await temporaryDirectory()).path;
  await using primary = await createCluster({ major: 17, directory, config: { wal_retrieve_retry_interval: "100ms" } });
  await primary.start();
  await using standby = await startStandby(primary, directory);
  await using cascaded = await startStandby(standby, join(directory, "cascaded"));
  const session = await open(cascaded);
  await beginBackup(session, { label: "left behind", fast: true });
  await standby.promote();
  await standby.query("CREATE TABLE written_after AS SELECT n FROM generate_series(1, 1000) AS n");
  await standby.query("CHECKPOINT");
  await until(async () => {
    await cascaded.query("CHECKPOINT");
    return readControlFile(cascaded.pgdata).minRecoveryTimeline === 2;
  }, "the cascaded standby to be on timeline 2");
  const error = await rejectionOf(endBackup(session));
  expect(error).toMatchObject({ code: "refused", message: "the server left timeline 1 during the backup" });
  expect(error.hint).toContain("take the backup again");
});

test("a backup that the server began and ended on one timeline is in order, and on two is refused", () => {
  expect(() => requireOneTimeline(timelineId(3), 3)).not.toThrow();
  expect(() => requireOneTimeline(timelineId(3), 4)).toThrow("left timeline 3");
});
