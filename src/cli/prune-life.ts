import { PgarkError } from "../errors.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { Repository } from "../repository/repository.ts";
import type { UnfinishedBackup } from "../repository/unfinished-backups.ts";
import type { WindowInterval } from "../restore/recovery-plan.ts";
import { recoveryWindow } from "../restore/recovery-window.ts";
import type { Deletion } from "../retention/apply-deletion.ts";
import { applyToCatalog } from "../retention/apply-to-catalog.ts";
import { evaluateRetention } from "../retention/evaluate.ts";
import { measureWal } from "../retention/measure-wal.ts";
import type { RetentionPolicy } from "../retention/policy.ts";
import type { RetentionPlan } from "../retention/retention-plan.ts";
import { walOfBackup } from "../retention/wal-range.ts";
import type { WalRange } from "../retention/wal-range.ts";
import type { CommandRun } from "./command.ts";
import { refuseUnreadable, retentionFacts, runningBackups } from "./retained-life.ts";
import type { RetainedLife } from "./retained-life.ts";

/** What prune would do to one life, for people, for machines and for doing it. */
export interface PrunePlan {
  readonly life: RetainedLife;
  readonly plan: RetentionPlan;
  /** being taken, as far as can be seen */
  readonly running: readonly UnfinishedBackup[];
  /** folders without a record that nobody is at work on any more */
  readonly abandoned: readonly UnfinishedBackup[];
  readonly frees: Frees;
  readonly windowBefore: readonly WindowInterval[];
  readonly windowAfter: readonly WindowInterval[];
  readonly deletion: Deletion;
}

export interface Frees {
  readonly backups: number;
  readonly segments: number;
  readonly objects: number;
  /** as stored */
  readonly bytes: number;
  /** the bytes of WAL were reckoned from a sample */
  readonly estimated: boolean;
}

export interface PruneQuestion {
  readonly policy: RetentionPolicy;
  readonly graceMs: number;
  readonly now: Date;
}

/** Evaluates the policy over one life. Throws `refused` where nothing can be said or all would be lost. */
export async function planPrune(
  run: CommandRun,
  repository: Repository,
  life: RetainedLife,
  { policy, graceMs, now }: PruneQuestion,
): Promise<PrunePlan> {
  refuseUnreadable(life, "prune");
  const plan = evaluateRetention(retentionFacts(life, graceMs, now), policy);
  const running = runningBackups(life, graceMs, now);
  const abandoned = life.unfinished.filter((backup) => !running.includes(backup));
  const windowBefore = recoveryWindow(life.catalog);
  const windowAfter = recoveryWindow(applyToCatalog(life.catalog, plan));
  refuseToLoseAll(life, windowBefore, windowAfter);
  const deletion = deletionOf(life, plan, { running, abandoned });
  const wal = await measureWal(repository, life.catalog, deletion.wal, { signal: run.io.signal });
  return {
    life,
    plan,
    running,
    abandoned,
    windowBefore,
    windowAfter,
    deletion,
    frees: sumUp(plan, abandoned, wal),
  };
}

/** The evaluation never does so. What it says is held against the planner all the same, which knows nothing of policies. */
function refuseToLoseAll(
  { catalog }: RetainedLife,
  before: readonly WindowInterval[],
  after: readonly WindowInterval[],
): void {
  if (before.length === 0 || after.length > 0) return;
  throw new PgarkError("refused", "nothing could be restored afterwards", {
    operation: "prune",
    object: formatIdentity(catalog.identity),
    hint: "this must not happen, whatever the policy: please report it, with the output of pgark list --json",
  });
}

function deletionOf(
  { catalog, labels }: RetainedLife,
  plan: RetentionPlan,
  { running, abandoned }: Pick<PrunePlan, "running" | "abandoned">,
): Deletion {
  const expired = <T extends { readonly verdict: "keep" | "expire" }>(verdicts: readonly T[]): readonly T[] =>
    verdicts.filter(({ verdict }) => verdict === "expire");
  const walKept = new Map<TimelineId, WalRange[]>();
  for (const { timeline } of expired(plan.timelines)) walKept.set(timeline, []);
  for (const range of plan.wal.filter(({ verdict }) => verdict === "keep")) {
    const kept = walKept.get(range.timeline);
    if (kept === undefined) walKept.set(range.timeline, [range]);
    else kept.push(range);
  }
  return {
    life: catalog,
    backups: expired(plan.backups).map(({ record }) => ({ label: record.label, wal: walOfBackup(record) })),
    abandoned: abandoned.map(({ label }) => label),
    wal: mergeRanges(expired(plan.wal)),
    partials: expired(plan.partials),
    histories: expired(plan.timelines)
      .map(({ timeline }) => timeline)
      .filter((timeline) => catalog.histories.has(timeline)),
    walKept,
    knownLabels: labels,
    running: new Set(running.map(({ label }) => label)),
  };
}

/** Neighbours that go for different reasons go together. */
function mergeRanges(ranges: readonly WalRange[]): readonly WalRange[] {
  const merged: WalRange[] = [];
  for (const { timeline, first, last } of ranges) {
    const before = merged.at(-1);
    if (before?.timeline === timeline && before.last + 1n === first) {
      merged[merged.length - 1] = { ...before, last };
    } else merged.push({ timeline, first, last });
  }
  return merged;
}

function sumUp(
  plan: RetentionPlan,
  abandoned: readonly UnfinishedBackup[],
  wal: Awaited<ReturnType<typeof measureWal>>,
): Frees {
  const backups = plan.backups.filter(({ verdict }) => verdict === "expire").map(({ record }) => record);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, next) => total + next, 0);
  return {
    backups: backups.length,
    segments: wal.segments,
    // Besides the packs there are its record, its marker and its manifest.
    objects: sum(backups.map(({ packs }) => packs + 3)) + sum(abandoned.map(({ objects }) => objects)) + wal.segments,
    bytes: sum(backups.map(({ storedBytes }) => storedBytes)) + sum(abandoned.map(({ bytes }) => bytes)) + wal.bytes,
    estimated: wal.estimated,
  };
}
