import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { formatLsn, lsn as toLsn } from "../../src/postgres/lsn.ts";
import type { Cluster } from "../helpers/cluster.ts";
import { formatTime, type Moment } from "../helpers/ledger-history.ts";
import { digestTables, type Ledger, type Mark, readRows, startLedger } from "../helpers/ledger.ts";
import { Random } from "../helpers/random.ts";
import { type BackupAnswer, createServedCluster } from "./helpers/served-cluster.ts";

/** Both can be raised from outside, for a run of hours; what is proven stays the same. */
const loadSeconds = Number(process.env["PGARK_TEST_LOAD_SECONDS"] ?? 12);
const restores = Number(process.env["PGARK_TEST_RESTORES"] ?? 8);
const seed = Number(process.env["PGARK_TEST_SEED"] ?? 1);
const churn = Number(process.env["PGARK_TEST_CHURN"] ?? 4);

/** A way of saying a moment, and what is to be found there. */
interface Target {
  readonly args: readonly string[];
  readonly expected: Moment | Mark["digests"];
}

const kinds = ["time", "lsn", "xid", "name", "exclusive time", "exclusive lsn", "exclusive xid", "latest", "immediate"];

test(
  `a cluster destroyed after ${loadSeconds} s of load comes back at ${restores} moments, each with every row`,
  async () => {
    const random = new Random(seed);
    await using source = await createServedCluster({ major: 17, encrypt: true });
    const { cluster } = source;
    await cluster.start();
    await using ledger = await startLedger({ connect: () => cluster.connect(), churn, seed });
    await ledger.untilCommitted(100);

    const first = await source.backup();
    const marks: Mark[] = [];
    const load = async (part: string): Promise<void> => {
      for (let nap = 1; nap <= 4; nap++) {
        await delay((loadSeconds * 1000) / 8);
        marks.push(await ledger.mark(`${part} ${nap}`));
      }
    };
    await load("between");
    const second = await source.backup("--remote");
    await load("after");
    await ledger.stop();
    const end = await digestsOf(cluster);
    await source.archiveAll();
    const [archiver] = await cluster.query<{ failed: number; archived: number }>(
      "select failed_count::int as failed, archived_count::int as archived from pg_stat_archiver",
    );
    expect(archiver?.failed).toBe(0);
    expect(archiver?.archived).toBeGreaterThan(2);
    await cluster.kill9();
    await rm(cluster.pgdata, { recursive: true });

    const targets = Array.from({ length: restores }, (_, index) =>
      chooseTarget(kinds[index % kinds.length] ?? "", { random, ledger, marks, end, first, second }),
    );
    for (const [index, target] of targets.entries()) {
      await using restored = await source.restoreAndOpen(`restored-${index}`, ...target.args, "--action", "promote");
      expect({ target: target.args, differences: await differences(restored, ledger, target) }).toEqual({
        target: target.args,
        differences: [],
      });
      await restored.stop("immediate");
      await rm(restored.pgdata, { recursive: true });
    }
    console.log(
      `${ledger.history.size} transactions, ${archiver?.archived} segments, ${restores} restores, seed ${seed}`,
    );
  },
  600_000 + (loadSeconds + restores * 30) * 1000,
);

interface Choice {
  readonly random: Random;
  readonly ledger: Ledger;
  readonly marks: readonly Mark[];
  readonly end: Mark["digests"];
  readonly first: BackupAnswer;
  readonly second: BackupAnswer;
}

function chooseTarget(kind: string, { random, ledger, marks, end, first, second }: Choice): Target {
  const exclusive = kind.startsWith("exclusive") ? ["--exclusive"] : [];
  const begun = toMicroseconds(first.backup.stopTime) + 2000n;
  const reachable = ledger.history.transactions.filter(({ timeFrom }) => timeFrom > begun);
  const transaction = reachable[random.below(reachable.length - 1)];
  const mark = marks[random.below(marks.length)];
  if (transaction === undefined || mark === undefined) throw new Error("the load was too short");
  // Where a transaction or a restore point lies is not known before replay: the plan takes the newest backup unless told.
  const from = (time: bigint): readonly string[] =>
    time > toMicroseconds(second.backup.stopTime) ? [] : ["--backup", first.backup.label];
  switch (kind.replace("exclusive ", "")) {
    case "time": {
      const time = transaction.timeFrom + BigInt(random.below(3000));
      return { args: ["--to", formatTime(time), ...exclusive], expected: { time } };
    }
    case "lsn": {
      // Where a record ends: from the middle of one, recovery goes on to the end of the next, whosever commit that is.
      const lsn = transaction.lsnFrom;
      return { args: ["--to", `lsn:${formatLsn(toLsn(lsn))}`, ...exclusive], expected: { lsn } };
    }
    case "xid": {
      const { xid } = transaction;
      return {
        args: ["--to", `xid:${xid}`, ...exclusive, ...from(transaction.timeFrom)],
        expected: exclusive.length > 0 ? { beforeXid: xid } : { xid },
      };
    }
    case "name":
      return { args: ["--to", `name:${mark.name}`, ...from(mark.time)], expected: mark.digests };
    case "latest":
      return { args: [], expected: end };
    default: {
      const { label, stopLsn } = random.below(2) === 0 ? first.backup : second.backup;
      const [high = "", low = ""] = stopLsn.split("/");
      const lsn = BigInt(`0x${high}`) * 2n ** 32n + BigInt(`0x${low}`);
      return { args: ["--to", "immediate", "--backup", label], expected: { lsn } };
    }
  }
}

async function differences(restored: Cluster, ledger: Ledger, { expected }: Target): Promise<readonly string[]> {
  const client = await restored.connect();
  try {
    if (isMoment(expected)) return ledger.history.differencesAt(expected, await readRows(client));
    const found = await digestsOf(restored);
    return Object.entries(expected)
      .filter(([table, digest]) => found[table]?.md5 !== digest.md5 || found[table].rows !== digest.rows)
      .map(([table, digest]) => `${table}: expected ${digest.rows} rows ${digest.md5}, found ${found[table]?.rows}`);
  } finally {
    await client.end();
  }
}

async function digestsOf(cluster: Cluster): Promise<Mark["digests"]> {
  const client = await cluster.connect();
  try {
    return await digestTables(client);
  } finally {
    await client.end();
  }
}

function isMoment(expected: Target["expected"]): expected is Moment {
  return ["time", "lsn", "xid", "beforeXid"].some((key) => key in expected);
}

function toMicroseconds(time: string): bigint {
  return BigInt(Date.parse(time)) * 1000n;
}
