import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCluster } from "../../test/helpers/cluster.ts";
import { until } from "../../test/helpers/processes.ts";
import type { WalContender } from "./contender.ts";
import { Background, commandsOf, ownTimeOf } from "./processor-time.ts";
import { contains, endOfLog } from "./session.ts";
import type { WalSource } from "./source.ts";
import { copyDirectory, usualAhead } from "./source.ts";

export interface ReplayCost {
  readonly seconds: number;
  /** milliseconds of processor time for each segment, of restore_command and what it left in the background */
  readonly fetching: number;
  /** seconds of processor time of PostgreSQL's startup process itself */
  readonly replaying: number;
}

/**
 * From the start of a server on the snapshot until it has replayed all segments of the source, fetched from the
 * contender's repository. The server is told to stop in the middle of the last segment.
 */
export async function replay(source: WalSource, contender: WalContender, directory: string): Promise<ReplayCost> {
  const pgdata = join(directory, "replayed");
  await copyDirectory(source.snapshot, pgdata);
  await writeFile(join(pgdata, "recovery.signal"), "");
  const background = new Background();
  const cluster = await openCluster(
    {
      major: 15,
      source: "debian",
      config: {
        archive_mode: "off",
        fsync: true,
        restore_command: contender.restoreCommand(pgdata, usualAhead),
        recovery_target_lsn: middleOf(source.segments.at(-1) ?? ""),
        recovery_target_action: "pause",
      },
    },
    pgdata,
  );
  try {
    const begun = performance.now();
    await cluster.start();
    await until(
      () => contains(`${pgdata}.log`, "pausing at the end of recovery"),
      "recovery to reach its target",
      1800,
    );
    const seconds = (performance.now() - begun) / 1000;
    const [startup] = await cluster.query<{ pid: number }>(
      "select pid from pg_stat_activity where backend_type = 'startup'",
    );
    const { pid = 0 } = startup ?? {};
    const [replaying, foreground] = [ownTimeOf(pid), commandsOf(pid)];
    await background.end(contender.backgroundEnds);
    const fetching = ((foreground + background.processorTime()) / source.segments.length) * 1000;
    return { seconds, fetching, replaying };
  } catch (error) {
    throw new Error(`recovery with ${contender.name} failed; the log ends:\n${await endOfLog(cluster)}`, {
      cause: error,
    });
  } finally {
    await cluster[Symbol.asyncDispose]();
    for (const made of [pgdata, `${pgdata}.log`, `${pgdata}.pgark-spool`])
      await rm(made, { recursive: true, force: true });
    await contender.clearSpool();
  }
}

/** The LSN in the middle of a segment of 16 MiB. */
function middleOf(segment: string): string {
  return `${segment.slice(8, 16)}/${segment.slice(22)}800000`;
}
