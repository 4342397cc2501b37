import { setTimeout as sleep } from "node:timers/promises";
import { PgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { Session } from "../postgres/connection.ts";
import type { Lsn } from "../postgres/lsn.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { lastSegmentNumberBefore, segmentFileName, segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import { walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { ArchiverWatch, readArchiverFailure } from "./archiver-watch.ts";

const pollMs = 300;
/** How often a person is told that it still waits. */
const tellMs = 10_000;

export interface WaitForWalOptions {
  readonly identity: ClusterIdentity;
  readonly timeline: TimelineId;
  readonly startLsn: Lsn;
  readonly stopLsn: Lsn;
  readonly walSegmentSize: number;
  readonly timeoutMs: number;
  readonly inRecovery: boolean;
  /** for messages: what it is all for, as a verb phrase, and why this WAL is waited for, as a relative clause */
  readonly purpose: { readonly operation: string; readonly why: string };
  readonly log: Log;
  readonly signal: AbortSignal;
  /** between two looks into the repository */
  readonly pause?: () => Promise<void>;
}

/**
 * Waits until every WAL segment from start to stop is in the repository. Throws `refused` when they do not come in time, with
 * what PostgreSQL says of its archiving. Meanwhile a warning tells when the server fails to archive.
 */
export async function waitForWal(repository: Repository, session: Session, options: WaitForWalOptions): Promise<void> {
  const { log, signal, timeoutMs } = options;
  const names = neededSegments(options);
  const pause = options.pause ?? (() => sleep(pollMs, undefined, { signal }));
  const archiver = options.inRecovery ? undefined : new ArchiverWatch(session, log);
  const began = performance.now();
  let told = began;
  for (let next = 0; ;) {
    next = await firstMissing(repository, options, names, next);
    const missing = names[next];
    if (missing === undefined) return;
    const waited = performance.now() - began;
    if (waited > timeoutMs) throw await notArchived(session, options, missing, waited);
    if (performance.now() - told > tellMs || told === began) {
      log.info(`waiting for WAL segment ${missing} to arrive in the repository`, { segments: names.length - next });
      told = performance.now();
    }
    await archiver?.look();
    await pause();
  }
}

function neededSegments(options: WaitForWalOptions): readonly string[] {
  const { timeline, walSegmentSize } = options;
  const names: string[] = [];
  const last = lastSegmentNumberBefore(options.stopLsn, walSegmentSize);
  for (let number = segmentNumberOfLsn(options.startLsn, walSegmentSize); number <= last; number++) {
    names.push(segmentFileName(timeline, number, walSegmentSize));
  }
  return names;
}

/** The index of the first of `names`, from `next` on, that is not there; one list answers for many. */
async function firstMissing(
  repository: Repository,
  options: WaitForWalOptions,
  names: readonly string[],
  next: number,
): Promise<number> {
  const { identity, signal } = options;
  let index = next;
  for (let name = names[index]; name !== undefined; name = names[index]) {
    const wanted = walKey(repository.cluster, identity, name, repository.encrypted);
    const folder = wanted.slice(0, wanted.lastIndexOf("/") + 1);
    const there = new Set<string>();
    for await (const object of repository.store.list(folder, { signal })) there.add(object.key);
    const before = index;
    while (
      index < names.length &&
      there.has(walKey(repository.cluster, identity, names[index] ?? "", repository.encrypted))
    ) {
      index++;
    }
    if (index === before) return index;
  }
  return index;
}

async function notArchived(
  session: Session,
  options: WaitForWalOptions,
  missing: string,
  waitedMs: number,
): Promise<PgarkError> {
  const { operation, why } = options.purpose;
  const problem = `WAL segment ${missing}, ${why}, did not arrive within ${Math.round(waitedMs / 1000)} s`;
  const details = { operation, object: missing };
  if (options.inRecovery) {
    const hint =
      "a standby's WAL is archived by its primary: is archiving on there? on an idle primary run SELECT pg_switch_wal()";
    return new PgarkError("refused", problem, { ...details, hint });
  }
  const failure = await readArchiverFailure(session);
  const hint =
    failure === undefined
      ? "archive_command must be: pgark wal-push %p, with this repository and cluster"
      : `archiving of ${failure.file} failed last at ${failure.time}: the reason is in PostgreSQL's log`;
  return new PgarkError("refused", problem, { ...details, hint });
}
