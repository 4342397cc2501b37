import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { loadAcknowledgedHoles } from "../repository/acknowledged-holes.ts";
import type { AcknowledgedHole } from "../repository/acknowledged-holes.ts";
import type { Repository } from "../repository/repository.ts";
import { loadVerifyRecords } from "../repository/verify-record.ts";
import { recoveryWindow } from "../restore/recovery-window.ts";
import { measureWal } from "../retention/measure-wal.ts";
import { isEmptyPolicy } from "../retention/policy.ts";
import type { HoleFacts, LifeFacts, RetentionOutlook } from "../status/status-facts.ts";
import type { CommandRun } from "./command.ts";
import { planPrune } from "./prune-life.ts";
import { loadRetainedLife, retentionFacts, runningBackups } from "./retained-life.ts";
import type { RetainedLife } from "./retained-life.ts";
import { graceOf, policyOf } from "./retention-settings.ts";
import { sortHoles } from "./sort-holes.ts";
import type { SortedHoles } from "./sort-holes.ts";

export interface CollectOptions {
  /** find out how many bytes the WAL takes, too */
  readonly walSizes: boolean;
}

/** What the repository holds of one life, and what the planner and the retention policy say of it. */
export async function collectLife(
  run: CommandRun,
  repository: Repository,
  identity: ClusterIdentity,
  { walSizes }: CollectOptions,
): Promise<LifeFacts> {
  const { settings, io } = run;
  const { signal } = io;
  const graceMs = graceOf(settings.values);
  const life = await loadRetainedLife(run, repository, identity);
  const { catalog, unfinished, unreadable } = life;
  const { created } = await repository.identityRecord(identity, { signal });
  const known = await loadAcknowledgedHoles(repository, catalog, { signal });
  const verified = await loadVerifyRecords(repository, identity, { signal });
  const running = runningBackups(life, graceMs, io.now());
  const facts = retentionFacts(life, graceMs, io.now());
  const wal = walSizes ? await measureWal(repository, catalog, catalog.wal, { signal }) : undefined;
  return {
    catalog,
    created,
    window: recoveryWindow(catalog),
    holes: holeFacts(sortHoles(facts, policyOf(settings.values), known), known),
    damaged: unreadable.map(({ label, problem = "" }) => ({ label, problem })),
    unfinished: unfinished.map((backup) => ({ ...backup, running: running.includes(backup) })),
    verified: verified.at(-1),
    retention: await retentionOutlook(run, repository, life, graceMs),
    walStoredBytes: wal?.bytes,
  };
}

/** Those that matter and those that are known; not those that `prune` has made. */
function holeFacts({ needed, acknowledged }: SortedHoles, known: readonly AcknowledgedHole[]): readonly HoleFacts[] {
  const reasonOf = (hole: Omit<HoleFacts, "acknowledged">): string =>
    known
      .filter(({ timeline, first, last }) => timeline === hole.timeline && first <= hole.last && last >= hole.first)
      .map(({ reason, host }) => (reason === "" ? `by ${host}` : reason))
      .join("; ");
  return [
    ...needed.map((hole) => ({ ...hole, acknowledged: undefined })),
    ...acknowledged.map((hole) => ({ ...hole, acknowledged: reasonOf(hole) })),
  ];
}

/** What `pgark prune` would say; undefined without a policy. */
async function retentionOutlook(
  run: CommandRun,
  repository: Repository,
  life: RetainedLife,
  graceMs: number,
): Promise<RetentionOutlook | undefined> {
  const policy = policyOf(run.settings.values);
  if (isEmptyPolicy(policy)) return undefined;
  const { length } = life.catalog.backups;
  try {
    const { frees } = await planPrune(run, repository, life, { policy, graceMs, now: run.io.now() });
    const { backups, segments, bytes } = frees;
    return { keep: length - backups, expire: backups, segments, freedBytes: bytes, refused: undefined };
  } catch (error) {
    if (!isPgarkError(error, "refused")) throw error;
    return { keep: length, expire: 0, segments: 0, freedBytes: 0, refused: error.message };
  }
}
