import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Cluster } from "../test/helpers/cluster.ts";
import { plainEnvironment } from "../test/helpers/project.ts";
import type { Contender } from "./contender.ts";

export interface PgbackrestOptions {
  readonly name: string;
  readonly directory: string;
  readonly pgdata: string;
  readonly processes: number;
  readonly level: number;
}

/** pgBackRest on a posix repository, encrypted and bundling small files. */
export function pgbackrest(options: PgbackrestOptions): Contender {
  const { name, directory, pgdata } = options;
  const file = join(directory, "pgbackrest.conf");
  const env = plainEnvironment();
  const line = (...args: readonly string[]) => ({
    program: "pgbackrest",
    args: [`--config=${file}`, "--stanza=bench", ...args],
    env,
  });
  return {
    name,
    async prepare(cluster: Cluster) {
      await mkdir(directory, { recursive: true });
      await writeFile(file, configuration(options, cluster));
      await promisify(execFile)("pgbackrest", line("stanza-create").args, { env });
    },
    archiveLine: `exec pgbackrest --config=${file} --stanza=bench archive-push "$1"`,
    backup: () => line("--type=full", "backup"),
    restore: (target) => line(`--pg1-path=${target}`, "--type=immediate", "restore"),
    push: (segment) => line("archive-push", segment),
    fetch: (segment, target) => line("archive-get", segment, target),
  };

  function configuration({ level, processes }: PgbackrestOptions, cluster: Cluster): string {
    return `[global]
repo1-path=${directory}/repository
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=3Vh1kQb7xw0Wm2Ttq5yPz8Ls6Rd4NcUe
repo1-bundle=y
repo1-retention-full=1
compress-type=zst
compress-level=${level}
process-max=${processes}
start-fast=y
archive-check=y
log-level-console=warn
log-level-file=off
log-path=${directory}/log
lock-path=${directory}/lock
spool-path=${directory}/spool

[bench]
pg1-path=${pgdata}
pg1-socket-path=${cluster.socketDirectory}
pg1-port=${cluster.port}
pg1-user=postgres
`;
  }
}
