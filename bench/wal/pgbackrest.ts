import { execFile } from "node:child_process";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Cluster } from "../../test/helpers/cluster.ts";
import { plainEnvironment } from "../../test/helpers/project.ts";
import type { WalContender } from "./contender.ts";
import type { RestartedSink } from "./restarted-sink.ts";
import { bytesIn } from "./source.ts";

export interface PgbackrestWalOptions {
  readonly name: string;
  readonly directory: string;
  readonly cluster: Cluster;
  readonly processes: number;
  readonly level: number;
  readonly sink?: RestartedSink;
}

/** pgBackRest, asynchronous, with encryption. */
export function pgbackrestWal(options: PgbackrestWalOptions): WalContender {
  const { name, directory, sink } = options;
  const file = join(directory, "pgbackrest.conf");
  const spool = join(directory, "spool/archive/bench");
  const line = (command: string): string => `exec pgbackrest --config=${file} --stanza=bench ${command}`;
  return {
    name,
    backgroundEnds: "of-itself",
    async prepare() {
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true });
      const repository =
        sink === undefined ? `repo1-path=${directory}/repository` : onS3((await sink.restart()).endpoint);
      await writeFile(file, configuration(options, repository));
      await promisify(execFile)("pgbackrest", [`--config=${file}`, "--stanza=bench", "stanza-create"], {
        env: plainEnvironment(),
      });
    },
    stored: () => bytesIn(join(directory, "repository")),
    clearSpool: () => rm(spool, { recursive: true, force: true }),
    archiveCommand: line("archive-push %p"),
    restoreCommand: (pgdata, ahead) =>
      line(`--pg1-path=${pgdata} --archive-get-queue-max=${ahead} archive-get %f "%p"`),
    acknowledged: () => countFiles(join(spool, "out"), /^[0-9A-F]{24}\.ok$/),
    prefetched: () => countFiles(join(spool, "in"), /^[0-9A-F]{24}$/),
  };
}

/** Its HTTP client speaks TLS only, and looks for authorities where the system has them. */
function onS3(endpoint: string): string {
  const { hostname, port } = new URL(endpoint);
  return `repo1-type=s3
repo1-path=/pgbackrest
repo1-s3-bucket=wal
repo1-s3-endpoint=${hostname}
repo1-storage-port=${port}
repo1-storage-verify-tls=n
repo1-s3-uri-style=path
repo1-s3-region=us-east-1
repo1-s3-key=bench
repo1-s3-key-secret=bench-secret`;
}

function configuration(options: PgbackrestWalOptions, repository: string): string {
  const { directory, cluster, processes, level } = options;
  return `[global]
${repository}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=3Vh1kQb7xw0Wm2Ttq5yPz8Ls6Rd4NcUe
archive-async=y
compress-type=zst
compress-level=${level}
process-max=${processes}
log-level-console=warn
log-level-file=off
log-path=${directory}/log
lock-path=${directory}/lock
spool-path=${directory}/spool

[bench]
pg1-path=${cluster.pgdata}
pg1-socket-path=${cluster.socketDirectory}
pg1-port=${cluster.port}
pg1-user=postgres
`;
}

async function countFiles(folder: string, name: RegExp): Promise<number> {
  return (await readdir(folder).catch(() => [])).filter((file) => name.test(file)).length;
}
