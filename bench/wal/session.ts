import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";
import type { Cluster } from "../../test/helpers/cluster.ts";
import { commandsOf } from "./processor-time.ts";

const restored = "pg_wal/RECOVERYXLOG";

/** Runs commands as PostgreSQL runs archive_command: `sh -c`, from a server process, in the data directory. */
export class CommandSession implements AsyncDisposable {
  readonly #client: Client;
  readonly #pid: number;
  readonly #cluster: Cluster;

  private constructor(cluster: Cluster, client: Client, pid: number) {
    this.#cluster = cluster;
    this.#client = client;
    this.#pid = pid;
  }

  static async open(cluster: Cluster): Promise<CommandSession> {
    const client = await cluster.connect();
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    return new CommandSession(cluster, client, rows[0]?.pid ?? 0);
  }

  /** Rejects when it does not exit with 0. */
  async run(command: string): Promise<void> {
    try {
      await this.#client.query(`copy (select where false) to program '${command.replaceAll("'", "''")}'`);
    } catch (error) {
      throw new Error(`${command} failed; the server's log ends:\n${await endOfLog(this.#cluster)}`, { cause: error });
    }
  }

  /** Seconds that the commands took so far. */
  processorTime(): number {
    return commandsOf(this.#pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}

export function archiveLine(command: string, segment: string): string {
  return command.replaceAll("%p", `pg_wal/${segment}`);
}

/** The file gets the name that recovery would give it. */
export function restoreLine(command: string, segment: string): string {
  return command.replaceAll("%p", restored).replaceAll("%f", segment);
}

/** Recovery gives what was restored another name at once: no restore_command has to replace a file. */
export async function takeRestored({ pgdata }: Cluster): Promise<void> {
  await rm(join(pgdata, restored));
}

export async function endOfLog(cluster: Cluster): Promise<string> {
  return (await cluster.log()).split("\n").slice(-20).join("\n");
}

/** Of a file that a server writes, for what it gives no other sign of. */
export async function contains(file: string, text: string): Promise<boolean> {
  return (await readFile(file, "utf8").catch(() => "")).includes(text);
}
