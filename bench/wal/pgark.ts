import { execFile } from "node:child_process";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment, projectDirectory } from "../../test/helpers/project.ts";
import type { WalContender } from "./contender.ts";
import type { RestartedSink } from "./restarted-sink.ts";
import { bytesIn } from "./source.ts";

export interface PgarkWalOptions {
  readonly name: string;
  /** for the repository, its keys and the configuration */
  readonly directory: string;
  readonly pgdata: string;
  readonly jobs: number;
  /** where the repository is, when it is not to be files in `directory` */
  readonly sink?: RestartedSink;
}

/** pgark with encryption, at its default level. Its spool is where it is by default: beside the data directory. */
export function pgarkWal(options: PgarkWalOptions): WalContender {
  const { name, directory, pgdata, sink } = options;
  const program = join(projectDirectory, "bin/pgark");
  const config = join(directory, "pgark.yaml");
  const env: Readonly<Record<string, string>> = sink?.env ?? {};
  const variables = Object.entries(env).map(([variable, value]) => `${variable}=${value} `);
  const line = (command: string, file: string): string =>
    `${variables.join("")}exec ${program} ${command} --config ${config} ${file}`;
  return {
    name,
    backgroundEnds: "when-told",
    async prepare() {
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true });
      const repository = sink === undefined ? `file://${directory}/repository` : (await sink.restart()).url("wal");
      await writeFile(config, configuration(options, repository));
      await promisify(execFile)(program, ["init", "--config", config, "--pgdata", pgdata, "--encrypt"], {
        env: plainEnvironment(env),
      });
    },
    stored: () => bytesIn(join(directory, "repository")),
    clearSpool: () => rm(spoolOf(pgdata), { recursive: true, force: true }),
    archiveCommand: line("wal-push", "%p"),
    restoreCommand: (_, ahead) => line("wal-fetch", `--prefetch ${ahead} %f "%p"`),
    acknowledged: () => countFiles(pgdata, "done"),
    prefetched: () => countFiles(pgdata, "wal"),
  };
}

function configuration({ directory, jobs }: PgarkWalOptions, repository: string): string {
  return `repository: ${repository}
cluster: bench
identity-file: ${directory}/identity
host-key-file: ${directory}/host-key
compress-level: 1
jobs: ${jobs}
`;
}

function spoolOf(pgdata: string): string {
  return `${pgdata}.pgark-spool`;
}

/** The files in the folders of that name, wherever in the spool they are. */
async function countFiles(pgdata: string, folder: string): Promise<number> {
  const entries = await readdir(spoolOf(pgdata), { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile() && basename(entry.parentPath) === folder).length;
}
