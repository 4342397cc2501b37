import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "pg";
import type { Cluster } from "../../test/helpers/cluster.ts";
import type { WalContender } from "./contender.ts";
import { Background, commandsOf } from "./processor-time.ts";
import { CommandSession, endOfLog, restoreLine, takeRestored } from "./session.ts";
import { usualAhead } from "./source.ts";
import type { WalSource } from "./source.ts";

/** Rarely enough to take no time from what is measured. */
const pollMs = 50;

/** Of all commands and all that they left in the background. */
export interface PathCost {
  readonly segmentsPerSecond: number;
  /** milliseconds of processor time for each segment */
  readonly foreground: number;
  readonly background: number;
}

/** PostgreSQL's own archiver works off all segments of the source, into an empty repository. */
export async function drain(source: WalSource, contender: WalContender): Promise<PathCost> {
  const { cluster, segments } = source;
  await source.makeReady(segments);
  const background = new Background();
  const client = await cluster.connect();
  try {
    await client.query("select pg_stat_reset_shared('archiver')");
    const archiver = await archiverOf(client);
    const before = commandsOf(archiver);
    const begun = performance.now();
    await cluster.configure({ archive_command: contender.archiveCommand });
    while ((await archived(client, cluster)) < segments.length) await delay(pollMs);
    const seconds = (performance.now() - begun) / 1000;
    await cluster.configure({ archive_command: "" });
    const foreground = commandsOf(archiver) - before;
    return await finish(contender, background, { seconds, foreground, count: segments.length });
  } finally {
    await client.end();
  }
}

async function archiverOf(client: Client): Promise<number> {
  const query = "select pid from pg_stat_activity where backend_type = 'archiver'";
  return (await client.query<{ pid: number }>(query)).rows[0]?.pid ?? 0;
}

async function archived(client: Client, cluster: Cluster): Promise<number> {
  const query = "select archived_count::int as done, failed_count::int as failed from pg_stat_archiver";
  const [row] = (await client.query<{ done: number; failed: number }>(query)).rows;
  if (row?.failed !== 0) throw new Error(`archiving failed; the server's log ends:\n${await endOfLog(cluster)}`);
  return row.done;
}

/** One restore_command after another, as recovery would run them if replaying took no time. */
export async function fetchAll(source: WalSource, contender: WalContender): Promise<PathCost> {
  const { cluster, segments } = source;
  const command = contender.restoreCommand(cluster.pgdata, usualAhead);
  const background = new Background();
  await using session = await CommandSession.open(cluster);
  const begun = performance.now();
  for (const segment of segments) {
    await session.run(restoreLine(command, segment));
    await takeRestored(cluster);
  }
  const seconds = (performance.now() - begun) / 1000;
  return await finish(contender, background, { seconds, foreground: session.processorTime(), count: segments.length });
}

async function finish(
  contender: WalContender,
  background: Background,
  { seconds, foreground, count }: { readonly seconds: number; readonly foreground: number; readonly count: number },
): Promise<PathCost> {
  await background.end(contender.backgroundEnds);
  await contender.clearSpool();
  return {
    segmentsPerSecond: count / seconds,
    foreground: (foreground / count) * 1000,
    background: (background.processorTime() / count) * 1000,
  };
}
