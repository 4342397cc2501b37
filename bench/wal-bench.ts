/**
 * `npm run bench -- wal [--rounds 3 --segments 500 ...]`: archiving and fetching WAL, pgark and pgBackRest (asynchronous) side
 * by side, in one run, round by round, on the same segments. `--help` has the options, CONTRIBUTING.md what is measured.
 */
import { execFile } from "node:child_process";
import { arch, cpus, loadavg } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporaryDirectory } from "../test/helpers/temp.ts";
import { runBench, sizeOptions } from "./run-bench.ts";
import { acknowledgedPush, prefetchedFetch } from "./wal/answers.ts";
import type { WalContender } from "./wal/contender.ts";
import { pgarkWal } from "./wal/pgark.ts";
import { pgbackrestWal } from "./wal/pgbackrest.ts";
import { replay } from "./wal/replay.ts";
import { WalResults } from "./wal/report.ts";
import { RestartedSink } from "./wal/restarted-sink.ts";
import { distantName, distantProcesses, rows, subject, zst1, zst3 } from "./wal/rows.ts";
import { buildWalSource } from "./wal/source.ts";
import type { WalSource } from "./wal/source.ts";
import { drain, fetchAll } from "./wal/whole-path.ts";

const processes = 2;

const options = {
  ...sizeOptions(3, 20),
  segments: { default: 500, help: "how many segments of WAL, 16 MiB each, are archived and fetched" },
  calls: { default: 200, help: "how many commands that are answered from the spool are measured" },
  latency: { default: 20, help: "by how many milliseconds each answer of the S3 server is late" },
  jobs: { default: processes, help: "pgark's --jobs on S3" },
  only: { default: "", help: "measure those alone whose name begins so; ratios need the others" },
  parts: { default: "answers,drain,replay,s3", help: "what is measured; answers and replay archive first" },
};

interface Bench {
  readonly directory: string;
  readonly source: WalSource;
  readonly calls: number;
  readonly results: WalResults;
}

await runBench(options, async ({ rounds, scale, segments, calls, latency, jobs, only, parts }) => {
  const { path: directory } = await temporaryDirectory("pgark-bench");
  await describeMachine();
  console.log(`building a cluster (scale ${scale}) and ${segments} segments of WAL`);
  const source = await buildWalSource(directory, scale, segments);
  const bench = { directory, source, calls: Math.min(calls, segments - 1), results: new WalResults() };
  const wanted = new Set(parts.split(","));
  const near = wanted.size > (wanted.has("s3") ? 1 : 0) ? onFiles(bench) : [];
  const sink = new RestartedSink(join(directory, "s3"), latency);
  const distant = wanted.has("s3") ? onS3(bench, sink, jobs) : [];
  const loads: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    loads.push(loadavg()[0] ?? Number.NaN);
    console.log(`round ${round} of ${rounds}; load ${loads.at(-1)?.toFixed(1)}`);
    // Turn about: nobody always comes first.
    const inTurn = (all: readonly WalContender[]): readonly WalContender[] =>
      (round % 2 === 1 ? all : all.toReversed()).filter(({ name }) => name.startsWith(only));
    for (const contender of inTurn(near)) await measureNear(bench, contender, wanted);
    for (const contender of inTurn(distant)) await measureDistant(bench, contender);
    await sink.stop();
  }
  const size = { rounds, scale, segments, calls, latency, jobs };
  console.log(`\n${bench.results.table(subject)}\n`);
  console.log(
    `RESULT ${JSON.stringify({ bench: "wal", node: process.version, size, loads, ...bench.results.toJSON(subject) })}`,
  );
});

async function describeMachine(): Promise<void> {
  const { stdout } = await promisify(execFile)("pgbackrest", ["version"]);
  console.log(`${cpus().length} processors (${arch()}); node ${process.version}; ${stdout.trim()}, asynchronous`);
  console.log(`pgark: age, zstd 1. pgBackRest: aes-256-cbc. On files, both with ${processes} workers.`);
}

/** Each has a name and a directory of its own. */
function place({ directory }: Bench, name: string) {
  return { name, directory: join(directory, name.replaceAll(/\W+/g, "-")) };
}

function onFiles(bench: Bench): readonly WalContender[] {
  const { cluster } = bench.source;
  return [
    pgarkWal({ ...place(bench, subject), pgdata: cluster.pgdata, jobs: processes }),
    pgbackrestWal({ ...place(bench, zst3), cluster, processes, level: 3 }),
    pgbackrestWal({ ...place(bench, zst1), cluster, processes, level: 1 }),
  ];
}

function onS3(bench: Bench, sink: RestartedSink, jobs: number): readonly WalContender[] {
  const { cluster } = bench.source;
  const others = distantProcesses.map((count) =>
    pgbackrestWal({ ...place(bench, distantName(count)), cluster, processes: count, level: 1, sink }),
  );
  return [pgarkWal({ ...place(bench, subject), pgdata: cluster.pgdata, jobs, sink }), ...others];
}

async function measureNear(bench: Bench, contender: WalContender, parts: ReadonlySet<string>): Promise<void> {
  const { source, directory, calls, results } = bench;
  const { name } = contender;
  if (parts.has("answers")) {
    await contender.prepare();
    results.add(rows.acknowledged, name, await acknowledgedPush(source, contender, calls));
  }
  await contender.prepare();
  const drained = await drain(source, contender);
  results.add(rows.push, name, drained.foreground + drained.background);
  results.add(rows.foreground, name, drained.foreground);
  results.add(rows.drained, name, drained.segmentsPerSecond);
  results.add(rows.stored, name, (await contender.stored()) / source.segments.length / 1e6);
  if (parts.has("answers")) results.add(rows.prefetched, name, await prefetchedFetch(source, contender, calls));
  if (parts.has("replay")) {
    const replayed = await replay(source, contender, directory);
    results.add(rows.replayed, name, replayed.seconds);
    results.add(rows.replaying, name, replayed.replaying);
    results.add(rows.fetch, name, replayed.fetching);
  }
}

/** On an S3 server whose answers take their time. */
async function measureDistant({ source, results }: Bench, contender: WalContender): Promise<void> {
  const { name } = contender;
  await contender.prepare();
  const pushed = await drain(source, contender);
  results.add(rows.distantPush, name, pushed.segmentsPerSecond);
  results.add(rows.distantPushCpu, name, pushed.foreground + pushed.background);
  const fetched = await fetchAll(source, contender);
  results.add(rows.distantFetch, name, fetched.segmentsPerSecond);
  results.add(rows.distantFetchCpu, name, fetched.foreground + fetched.background);
}
