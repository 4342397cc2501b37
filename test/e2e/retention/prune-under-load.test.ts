import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { formatLsn, lsn as toLsn, parseLsn } from "../../../src/postgres/lsn.ts";
import { type Ledger, readRows, startLedger } from "../../helpers/ledger.ts";
import { Random } from "../../helpers/random.ts";
import type { PruneAnswer } from "../helpers/prune-answer.ts";
import { completeBackups, openAudited } from "../helpers/repository-audit.ts";
import { createServedCluster, type ServedCluster } from "../helpers/served-cluster.ts";

/** Can be raised from outside, for a run of hours; what is proven stays the same. */
const seconds = Number(process.env["PGARK_TEST_PRUNE_SECONDS"] ?? 5);
const seed = Number(process.env["PGARK_TEST_SEED"] ?? 1);

/** Three are kept: while one more is taken, what the second one promises stays promised. */
const policy = ["--keep-last", "3"];

interface Listed {
  readonly lives: readonly {
    readonly backups: readonly { readonly label: string; readonly stopLsn: string }[];
    readonly window: readonly { readonly to: { readonly lsn: string } }[];
  }[];
}

test(
  `pruned every second for ${seconds} s of load, backups and restores, a cluster comes back at every moment that was promised`,
  async () => {
    const random = new Random(seed);
    await using served = await createServedCluster({ major: 17, walSegmentSizeMb: 1 });
    const { cluster } = served;
    await cluster.start();
    await using ledger = await startLedger({ connect: () => cluster.connect(), churn: 1, churnTableMb: 2, seed });
    for (let count = 0; count < 3; count++) await served.backup();
    await served.archiveAll();

    const stop = new AbortController();
    const pruning = pruneEverySecond(served, stop.signal);
    const deadline = performance.now() + seconds * 1000;
    let rounds = 0;
    do {
      const moment = await chooseMoment(served, ledger, random);
      const name = `restored-${rounds++}`;
      const [, differences] = await Promise.all([served.backup(), restoreAndCompare(served, ledger, name, moment)]);
      expect({ moment: formatLsn(toLsn(moment)), differences }).toEqual({
        moment: formatLsn(toLsn(moment)),
        differences: [],
      });
    } while (performance.now() < deadline);
    stop.abort();
    const pruned = await pruning;
    await ledger.stop();

    const repository = await openAudited(served.repositoryDirectory, undefined);
    expect((await completeBackups(repository, new Set())).length).toBeGreaterThanOrEqual(3);
    await repository.store.close();
    expect(pruned.backups).toBeGreaterThan(0);
    expect(pruned.segments).toBeGreaterThan(0);
    const [archiver] = await cluster.query<{ failed: number }>(
      "select failed_count::int as failed from pg_stat_archiver",
    );
    expect(archiver?.failed).toBe(0);
    console.log(`${rounds} rounds, ${JSON.stringify(pruned)}, ${ledger.history.size} transactions, seed ${seed}`);
  },
  300_000 + seconds * 10_000,
);

async function pruneEverySecond(served: ServedCluster, signal: AbortSignal) {
  const done = { runs: 0, backups: 0, segments: 0 };
  while (!signal.aborted) {
    const { lives } = await served.json<PruneAnswer>(["prune", ...policy, "--confirm"]);
    for (const { deleted } of lives) {
      done.backups += deleted?.backups.length ?? 0;
      done.segments += deleted?.segments ?? 0;
    }
    done.runs++;
    await delay(1000, undefined, { signal }).catch(() => undefined);
  }
  return done;
}

/** A moment after the second-oldest backup that the policy keeps, with WAL behind it. */
async function chooseMoment(served: ServedCluster, ledger: Ledger, random: Random): Promise<bigint> {
  const { lives } = await served.json<Listed>(["list"]);
  const [life] = lives;
  const from = parseLsn(life?.backups.at(-2)?.stopLsn ?? "");
  // A target must be followed by a record: the last segment may have none behind it.
  const to = parseLsn(life?.window.at(-1)?.to.lsn ?? "") - 1024n * 1024n;
  const promised = ledger.history.transactions.filter(({ lsnFrom }) => lsnFrom > from && lsnFrom < to);
  const transaction = promised[random.below(promised.length)];
  if (transaction === undefined) throw new Error(`nothing was committed between ${from} and ${to}`);
  return transaction.lsnFrom;
}

async function restoreAndCompare(
  served: ServedCluster,
  ledger: Ledger,
  name: string,
  moment: bigint,
): Promise<readonly string[]> {
  const target = `lsn:${formatLsn(toLsn(moment))}`;
  await using restored = await served.restoreAndOpen(name, "--to", target, "--action", "promote");
  const client = await restored.connect();
  try {
    return ledger.history.differencesAt({ lsn: moment }, await readRows(client));
  } finally {
    await client.end();
    await restored.stop("immediate");
    await rm(join(served.directory, name), { recursive: true });
  }
}
