import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Cluster } from "../test/helpers/cluster.ts";
import { plainEnvironment, projectDirectory } from "../test/helpers/project.ts";
import type { Contender } from "./contender.ts";

export interface PgarkOptions {
  readonly name: string;
  /** for the repository and its keys */
  readonly directory: string;
  readonly pgdata: string;
  readonly workers: number;
  readonly remote: boolean;
  /** where the repository is, when it is not to be files in `directory`, and what its credentials' chain reads */
  readonly store?: { readonly url: string; readonly env: Readonly<Record<string, string>> };
}

/** pgark with encryption and its default level. */
export function pgark(options: PgarkOptions): Contender {
  const { name, directory, pgdata, store } = options;
  const program = join(projectDirectory, "bin/pgark");
  const env = plainEnvironment({
    ...store?.env,
    PGARK_NODE: process.execPath,
    PGARK_REPOSITORY: store?.url ?? `file://${join(directory, "repository")}`,
    PGARK_CLUSTER: "bench",
    PGARK_IDENTITY_FILE: join(directory, "identity"),
    PGARK_HOST_KEY_FILE: join(directory, "host-key"),
    PGARK_JOBS: String(options.workers),
    PGARK_COMPRESS_LEVEL: "1",
  });
  const settings = Object.entries(env).filter(
    ([variable]) => variable.startsWith("PGARK_") || Object.hasOwn(store?.env ?? {}, variable),
  );
  const exports = settings.map(([variable, value]) => `${variable}='${value}'`).join(" ");
  let connection = "";
  return {
    name,
    async prepare(cluster: Cluster) {
      connection = cluster.connectionString;
      await promisify(execFile)(program, ["init", "--pgdata", pgdata, "--encrypt"], { env });
    },
    archiveLine: `${exports} exec ${program} wal-push "$1"`,
    backup: () => ({
      program,
      args: ["backup", "--fast", "--dbname", connection, ...(options.remote ? ["--remote"] : ["--pgdata", pgdata])],
      env,
    }),
    restore: (target) => ({ program, args: ["restore", target, "--to", "immediate"], env }),
    push: (file) => ({ program, args: ["wal-push", "--pgdata", pgdata, file], env }),
    fetch: (segment, target) => ({ program, args: ["wal-fetch", "--pgdata", pgdata, segment, target], env }),
  };
}
