/**
 * `npm run bench -- stores [--rounds 5 --scale 60]`: what an S3 repository costs the machine that is backed up, over https to a
 * sink on loopback: uploading alone, and a whole backup next to one to files. Processor time is the client's alone.
 */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { arch, cpus } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment } from "../test/helpers/project.ts";
import { temporaryDirectory } from "../test/helpers/temp.ts";
import { buildCluster } from "./bench-cluster.ts";
import { measure } from "./measure.ts";
import { pgark } from "./pgark-contender.ts";
import { median, Results } from "./report.ts";
import { runBench, sizeOptions } from "./run-bench.ts";
import type { BenchSize } from "./run-bench.ts";
import { type S3Sink, startS3Sink } from "./s3-sink.ts";

const workers = 2;
const uploadBytes = 2 ** 31;
const toFiles = "to files";

await runBench(sizeOptions(5, 60), bench);

async function bench(size: BenchSize): Promise<void> {
  const { rounds } = size;
  const { path: directory } = await temporaryDirectory("pgark-bench");
  console.log(`${cpus().length} processors (${arch()}); node ${process.version}; ${rounds} rounds, medians`);
  const sink = await startS3Sink(directory);
  await uploads(sink, size);
  await backups(sink, directory, size);
}

async function uploads(sink: S3Sink, { rounds }: BenchSize): Promise<void> {
  const speeds: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const program = join(import.meta.dirname, "upload-client.ts");
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [program, sink.url("uploads"), String(uploadBytes)],
      {
        env: plainEnvironment(sink.env),
      },
    );
    speeds.push(uploadBytes / Number(stdout) / 1e9);
  }
  const each = speeds.map((speed) => speed.toFixed(2)).join(", ");
  console.log(`upload over https, 8 MiB parts, 4 in flight: ${median(speeds).toFixed(2)} GB/s per core (${each})`);
}

async function backups(sink: S3Sink, directory: string, { rounds, scale }: BenchSize): Promise<void> {
  console.log(`building a cluster (pgbench scale ${scale}, and as much again that compresses less)`);
  const source = await buildCluster(directory, scale);
  console.log(
    `PostgreSQL 15 with page checksums, ${(source.bytes / 1e9).toFixed(2)} GB; ${workers} workers, age, zstd 1`,
  );
  const at = (name: string) => ({ name, directory: join(directory, name.replaceAll(" ", "-")) });
  const common = { pgdata: source.cluster.pgdata, workers, remote: false };
  const contenders = [
    pgark({ ...common, ...at(toFiles) }),
    pgark({ ...common, ...at("to S3"), store: { url: sink.url("backups"), env: sink.env } }),
  ];
  for (const contender of contenders) {
    await mkdir(at(contender.name).directory);
    await contender.prepare(source.cluster);
  }
  const results = new Results();
  for (let round = 1; round <= rounds; round++) {
    // Turn about: nobody always comes first.
    for (const contender of round % 2 === 1 ? contenders : contenders.toReversed()) {
      await source.archiveWith(contender.archiveLine);
      results.add("full backup", contender.name, await measure({ ...contender.backup(), logDirectory: directory }));
    }
  }
  console.log(`\n${results.report(toFiles)}`);
}
