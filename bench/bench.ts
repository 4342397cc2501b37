/**
 * `npm run bench [-- --rounds 3 --scale 60]`: pgark and pgBackRest side by side, in one run, round by round, on one cluster.
 * Prints medians, and ratios to pgBackRest at its default level.
 */
import { execFile } from "node:child_process";
import { mkdir, readdir, rm } from "node:fs/promises";
import { arch, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "../test/helpers/processes.ts";
import { temporaryDirectory } from "../test/helpers/temp.ts";
import { type BenchCluster, buildCluster } from "./bench-cluster.ts";
import type { Contender } from "./contender.ts";
import { measure } from "./measure.ts";
import { pgark } from "./pgark-contender.ts";
import { pgbackrest } from "./pgbackrest-contender.ts";
import { Results } from "./report.ts";
import { runBench, sizeOptions } from "./run-bench.ts";
import type { BenchSize } from "./run-bench.ts";

const workers = 2;
const walSegments = 20;
const reference = "pgBackRest zst 3";

await runBench(sizeOptions(3, 60), bench);

async function bench({ rounds, scale }: BenchSize): Promise<void> {
  const { path: directory } = await temporaryDirectory("pgark-bench");
  await describeMachine();
  console.log(`building a cluster (pgbench scale ${scale}, and as much again that compresses less)`);
  const source = await buildCluster(directory, scale);
  const { pgdata } = source.cluster;
  console.log(`PostgreSQL 15 with page checksums, ${(source.bytes / 1e9).toFixed(2)} GB; ${rounds} rounds\n`);
  const at = (name: string) => ({ name, directory: join(directory, name.replaceAll(" ", "-")), pgdata });
  const contenders = [
    pgark({ ...at("pgark"), workers, remote: false }),
    pgark({ ...at("pgark --remote"), workers, remote: true }),
    pgbackrest({ ...at(reference), processes: workers, level: 3 }),
    pgbackrest({ ...at("pgBackRest zst 1"), processes: workers, level: 1 }),
  ];
  for (const contender of contenders) {
    await mkdir(join(directory, contender.name.replaceAll(" ", "-")), { recursive: true });
    await contender.prepare(source.cluster);
  }
  const results = new Results();
  for (let round = 1; round <= rounds; round++) {
    // Turn about: nobody always comes first.
    const order = round % 2 === 1 ? contenders : contenders.toReversed();
    for (const contender of order) await backUpAndRestore(source, contender, results, directory);
  }
  await archive(source, contenders, results, directory);
  console.log(`\n${results.report(reference)}`);
}

async function describeMachine(): Promise<void> {
  const version = (await promisify(execFile)("pgbackrest", ["version"])).stdout.trim();
  const memory = Math.round(totalmem() / 2 ** 30);
  console.log(`${cpus().length} processors (${arch()}), ${memory} GiB; node ${process.version}; ${version}`);
  console.log(`pgark: ${workers} workers, age, zstd 1. pgBackRest: process-max ${workers}, aes-256-cbc, bundles.`);
}

async function backUpAndRestore(
  source: BenchCluster,
  contender: Contender,
  results: Results,
  directory: string,
): Promise<void> {
  await source.archiveWith(contender.archiveLine);
  const backup = await measure({ ...contender.backup(), logDirectory: directory });
  results.add("full backup", contender.name, backup);
  const target = join(directory, "restored");
  await mkdir(target, { mode: 0o700 });
  const restore = await measure({ ...contender.restore(target), logDirectory: directory });
  results.add("restore", contender.name, restore);
  await rm(target, { recursive: true });
  const seconds = (value: number): string => value.toFixed(2);
  console.log(
    `${contender.name}: backup ${seconds(backup.cpu)} s CPU, ${seconds(backup.wall)} s; ` +
      `restore ${seconds(restore.cpu)} s CPU, ${seconds(restore.wall)} s`,
  );
}

/** WAL one segment at a time, as PostgreSQL asks for it; the costs are those of one segment. */
async function archive(
  source: BenchCluster,
  contenders: readonly Contender[],
  results: Results,
  directory: string,
): Promise<void> {
  const segments = await segmentsToArchive(source);
  for (const contender of contenders.filter(({ name }) => name !== "pgark --remote")) {
    for (const segment of segments) {
      const file = join(source.cluster.pgdata, "pg_wal", segment);
      results.add(
        "archive one segment",
        contender.name,
        await measure({ ...contender.push(file), logDirectory: directory }),
      );
    }
    for (const segment of segments) {
      const target = join(directory, "fetched");
      results.add(
        "fetch one segment",
        contender.name,
        await measure({ ...contender.fetch(segment, target), logDirectory: directory }),
      );
      await rm(target);
    }
  }
}

/** Segments that are complete and in nobody's repository: archiving fails while they are written. */
async function segmentsToArchive(source: BenchCluster): Promise<readonly string[]> {
  const { cluster } = source;
  await source.archiveWith("exit 1");
  const ready = async (): Promise<readonly string[]> => {
    const names = await readdir(join(cluster.pgdata, "pg_wal/archive_status"));
    return names.filter((name) => /^[0-9A-F]{24}\.ready$/.test(name)).map((name) => name.slice(0, 24));
  };
  await until(
    async () => {
      await cluster.query("update pgbench_accounts set abalance = abalance + 1 where aid % 20 = 0 and aid < 1000000");
      return (await ready()).length >= walSegments;
    },
    "enough WAL",
    120,
  );
  return [...(await ready())].sort().slice(0, walSegments);
}
