import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parseBackupLabel } from "../../src/postgres/backup-label.ts";
import { beginBackup, endBackup } from "../../src/postgres/backup-session.ts";
import { connect } from "../../src/postgres/connection.ts";
import type { Session } from "../../src/postgres/connection.ts";
import { readRedoPosition } from "../../src/postgres/redo-position.ts";
import { scanDataDirectory } from "../../src/postgres/data-directory-scan.ts";
import { type Cluster, createCluster } from "../helpers/cluster.ts";
import { majors } from "../helpers/postgres-programs.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { rejectionOf } from "./errors.ts";

describe.each(majors)("backup mode of PostgreSQL %d", (major) => {
  let cluster: Cluster;
  let space: string;
  beforeAll(async () => {
    const directory = (await temporaryDirectory()).path;
    cluster = await createCluster({ major, directory });
    space = join(directory, "space");
    await mkdir(space);
    await cluster.start();
    await cluster.query(`CREATE TABLESPACE elsewhere LOCATION '${space}'`);
    await cluster.query("CREATE TABLE t TABLESPACE elsewhere AS SELECT 1 AS n");
    await cluster.query("CREATE UNLOGGED TABLE u TABLESPACE elsewhere AS SELECT 1 AS n");
  });

  async function open(): Promise<Session> {
    const session = await connect({ connectionString: cluster.connectionString, environment: {} });
    onTestFinished(() => session.end());
    return session;
  }

  test("gives where the backup begins and ends, and the files that belong to it", async () => {
    const session = await open();
    const begun = await beginBackup(session, { label: "it's a label", fast: true });
    await cluster.query("CREATE TABLE made_meanwhile AS SELECT 1 AS n");
    const ended = await endBackup(session);
    expect(begun.timeline).toBe(1);
    expect(ended.timeline).toBe(1);
    expect(ended.stopLsn).toBeGreaterThan(begun.startLsn);
    expect(ended.stopTime.getTime()).toBeGreaterThanOrEqual(begun.startTime.getTime());
    expect(Math.abs(ended.stopTime.getTime() - Date.now())).toBeLessThan(60_000);
    expect(parseBackupLabel(ended.labelFile)).toMatchObject({
      startLsn: begun.startLsn,
      startTimeline: 1,
      from: "primary",
      label: "it's a label",
    });
    expect(ended.tablespaceMap).toMatch(new RegExp(`^\\d+ ${space}\n$`));
  });

  test("does not begin before the redo position that any role was told before", async () => {
    await cluster.query("CREATE ROLE nobody_special LOGIN");
    const connectionString = cluster.connectionString.replace("postgres@", "nobody_special@");
    const ordinary = await connect({ connectionString, environment: {} });
    onTestFinished(() => ordinary.end());
    const redo = await readRedoPosition(ordinary);
    expect(redo.timeline).toBe(1);
    expect(redo.lsn).toBeGreaterThan(0n);
    expect(Math.abs(redo.time.getTime() - Date.now())).toBeLessThan(60_000);
    const session = await open();
    const begun = await beginBackup(session, { label: "after it", fast: true });
    await endBackup(session);
    expect(begun.startLsn).toBeGreaterThan(redo.lsn);
    // It moves on with each checkpoint: WAL need not be kept for ever on its account.
    expect((await readRedoPosition(ordinary)).lsn).toBe(begun.startLsn);
  });

  test("cannot be ended by another session, and ends with its own", async () => {
    const session = await open();
    await beginBackup(session, { label: "a", fast: true });
    expect((await rejectionOf(endBackup(await open()))).facts).toMatchObject({ sqlstate: "55000" });
    await session.end();
    const next = await open();
    await beginBackup(next, { label: "b", fast: true });
    await endBackup(next);
  });

  test("leaves files that are scanned, those of tablespaces under their links", async () => {
    const [file] = await cluster.query<{ t: string; u: string }>(
      "SELECT pg_relation_filepath('t') AS t, pg_relation_filepath('u') AS u",
    );
    const entries = [...scanDataDirectory(cluster.pgdata)];
    const paths = new Set(entries.map(({ path }) => path));
    expect(entries.filter(({ kind }) => kind === "tablespace")).toMatchObject([{ location: space }]);
    expect(paths).toContain(file?.t);
    expect(paths).not.toContain(file?.u);
    expect(paths).toContain(`${file?.u}_init`);
    expect(paths).toContain("pg_wal/archive_status");
    for (const name of ["postmaster.pid", "postmaster.opts", "global/pg_internal.init"])
      expect(paths).not.toContain(name);
  });
});
