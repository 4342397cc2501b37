import { until } from "../../test/helpers/processes.ts";
import type { WalContender } from "./contender.ts";
import { Background } from "./processor-time.ts";
import { archiveLine, CommandSession, restoreLine, takeRestored } from "./session.ts";
import { segmentSize } from "./source.ts";
import type { WalSource } from "./source.ts";

/** Milliseconds of processor time of an archive_command whose segment is archived already. */
export async function acknowledgedPush(source: WalSource, contender: WalContender, calls: number): Promise<number> {
  const segments = source.segments.slice(0, calls + 1);
  const [first = "", ...rest] = segments.map((segment) => archiveLine(contender.archiveCommand, segment));
  await source.makeReady(segments);
  // The first one finds nothing in the spool and begins to archive ahead.
  return answered(source, contender, { first, rest, inSpool: () => contender.acknowledged() });
}

/** Milliseconds of processor time of a restore_command whose segment lies in the spool already. */
export async function prefetchedFetch(source: WalSource, contender: WalContender, calls: number): Promise<number> {
  const command = contender.restoreCommand(source.cluster.pgdata, (calls + 8) * segmentSize);
  const [first = "", ...rest] = source.segments.slice(0, calls + 1).map((segment) => restoreLine(command, segment));
  const done = () => takeRestored(source.cluster);
  return answered(source, contender, { first, rest, inSpool: () => contender.prefetched(), done });
}

interface Questions {
  /** begins what puts the others' answers into the spool */
  readonly first: string;
  readonly rest: readonly string[];
  /** how many of them are there */
  readonly inSpool: () => Promise<number>;
  /** what PostgreSQL does after each */
  readonly done?: () => Promise<void>;
}

async function answered(source: WalSource, contender: WalContender, questions: Questions): Promise<number> {
  const { first, rest, inSpool, done } = questions;
  const background = new Background();
  await using session = await CommandSession.open(source.cluster);
  await session.run(first);
  await done?.();
  await until(async () => (await inSpool()) >= rest.length, "the spool to hold all answers", 120);
  const before = session.processorTime();
  for (const line of rest) {
    await session.run(line);
    await done?.();
  }
  const spent = session.processorTime() - before;
  await background.end(contender.backgroundEnds);
  await contender.clearSpool();
  return (spent / rest.length) * 1000;
}
