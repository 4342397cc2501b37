import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { formatLsn, lsn } from "../../src/postgres/lsn.ts";
import { type Cluster, createCluster, openCluster } from "./cluster.ts";
import { digestTables, readRows, startLedger } from "./ledger.ts";
import { until } from "./processes.ts";
import { formatTime } from "./ledger-history.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./temp.ts";

let directory: TemporaryDirectory;
beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  await directory[Symbol.asyncDispose]();
});

async function archivingCluster(): Promise<Cluster> {
  return createCluster({
    major: 17,
    directory: directory.path,
    name: "source",
    config: { archive_mode: "on", archive_command: `cp %p ${directory.path}/%f` },
  });
}

describe("a ledger", () => {
  test("agrees with the database at a mark and after the end", async () => {
    await using cluster = await archivingCluster();
    await cluster.start();
    const ledger = await startLedger({ connect: () => cluster.connect() });
    await ledger.untilCommitted(100);
    const mark = await ledger.mark("here");
    await ledger.untilCommitted(100);
    await ledger.stop();

    const client = await cluster.connect();
    const rows = await readRows(client);
    const end = { time: ledger.history.last?.timeUntil ?? 0n };
    expect(ledger.history.differencesAt({ time: end.time + 1_000_000n }, rows)).toEqual([]);
    expect(await digestTables(client)).not.toEqual(mark.digests);
    await client.end();

    expect(ledger.history.differencesAt({ lsn: mark.lsn }, rows)).not.toEqual([]);
    expect(ledger.history.expectedRowsAt({ lsn: mark.lsn })).toEqual(
      ledger.history.expectedRowsAt({ time: mark.time }),
    );
    for (const values of ledger.history.expectedRowsAt({ lsn: mark.lsn }).values()) expect(values).toHaveLength(1);
  });

  test("knows what a recovery to a mark, a time, an LSN and a transaction brings back", async () => {
    await using source = await archivingCluster();
    await source.start();
    // A copy of the stopped server stands in for a backup: recovery from it replays all that the load does.
    await source.stop();
    const copies = ["name", "time", "mark-time", "lsn", "xid"];
    for (const copy of copies) await cp(source.pgdata, join(directory.path, copy), { recursive: true });
    await source.start();
    const ledger = await startLedger({ connect: () => source.connect() });
    await ledger.untilCommitted(200);
    const mark = await ledger.mark("quiet moment");
    await ledger.untilCommitted(200);
    const middle = ledger.history.last;
    await ledger.untilCommitted(200);
    await ledger.stop();
    await source.query("select pg_switch_wal()");
    await source.stop();
    if (middle?.lsnUntil === undefined) throw new Error("the load recorded no transaction");

    const targets = [
      { copy: "name", setting: "recovery_target_name", value: mark.name, moment: { lsn: mark.lsn } },
      { copy: "mark-time", setting: "recovery_target_time", value: formatTime(mark.time), moment: { time: mark.time } },
      {
        copy: "time",
        setting: "recovery_target_time",
        value: formatTime(middle.timeFrom),
        moment: { time: middle.timeFrom },
      },
      {
        copy: "lsn",
        setting: "recovery_target_lsn",
        value: formatLsn(lsn(middle.lsnFrom)),
        moment: { lsn: middle.lsnFrom },
      },
      { copy: "xid", setting: "recovery_target_xid", value: middle.xid, moment: { xid: middle.xid } },
    ];
    const digests = new Map<string, unknown>();
    for (const { copy, setting, value, moment } of targets) {
      const pgdata = join(directory.path, copy);
      await writeFile(join(pgdata, "recovery.signal"), "");
      const config = { restore_command: `cp ${directory.path}/%f %p`, [setting]: value, archive_mode: "off" };
      await using restored = await openCluster({ major: 17, config }, pgdata);
      await restored.start();
      // It answers as soon as it is consistent, which is long before the target.
      await until(async () => {
        const [row] = await restored.query("select pg_is_wal_replay_paused() as paused");
        return row?.["paused"] === true;
      }, "recovery to pause at its target");
      const client = await restored.connect();
      expect(ledger.history.differencesAt(moment, await readRows(client)), copy).toEqual([]);
      digests.set(copy, await digestTables(client));
      await client.end();
    }
    expect(digests.get("name")).toEqual(mark.digests);
    expect(digests.get("mark-time")).toEqual(mark.digests);
    expect(digests.get("time")).not.toEqual(mark.digests);
  }, 120_000);

  test("outlives a server that is killed under it", async () => {
    await using cluster = await archivingCluster();
    await cluster.start();
    const ledger = await startLedger({ connect: () => cluster.connect() });
    await ledger.untilCommitted(100);
    await cluster.kill9();
    await ledger.stop({ connectionLossExpected: true });
    await expect(ledger.untilCommitted(1)).rejects.toThrow("broke off");

    await cluster.start();
    const client = await cluster.connect();
    const farFuture = { time: 1n << 62n };
    expect(ledger.history.differencesAt(farFuture, await readRows(client))).toEqual([]);
    await client.end();
  });
});
