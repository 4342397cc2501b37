import { isPgarkError, PgarkError } from "../../errors.ts";
import { formatIdentity } from "../../postgres/cluster-identity.ts";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import type { Repository } from "../../repository/repository.ts";
import type { Applied } from "../../retention/apply-deletion.ts";
import { isEmptyPolicy } from "../../retention/policy.ts";
import type { RetentionPolicy } from "../../retention/policy.ts";
import { chooseIdentities } from "../choose-life.ts";
import type { CommandRun } from "../command.ts";
import { deleteWithProgress, exitCodeOf } from "../delete-with-progress.ts";
import { EXIT } from "../exit-codes.ts";
import { appliedJson, policyJson, prunePlanJson } from "../prune-json.ts";
import { planPrune } from "../prune-life.ts";
import type { PrunePlan } from "../prune-life.ts";
import { appliedText, prunePlanText } from "../prune-text.ts";
import { loadRetainedLife } from "../retained-life.ts";
import { graceOf, policyOf } from "../retention-settings.ts";
import { policyText } from "../retention-text.ts";
import { withLease } from "../with-lease.ts";
import type { HeldLease } from "../with-lease.ts";
import { withRepository } from "../with-repository.ts";

/** What came of one life: a plan, and with `--confirm` what was done; or why nothing may be done to it. */
type Pruned =
  | { readonly planned: PrunePlan; readonly applied: Applied | undefined }
  | { readonly identity: ClusterIdentity; readonly refused: PgarkError };

/** `pgark prune`: what the retention policy lets go, and with `--confirm` its deletion. */
export async function main(run: CommandRun): Promise<number> {
  const { values } = run.settings;
  const policy = policyOf(values);
  if (isEmptyPolicy(policy)) throw noPolicy();
  graceOf(values);
  const { lives, note } = await withRepository(run, { keys: "all" }, async (repository) => ({
    // A plan first looks at what is there; whoever deletes looks at it once the lease keeps it as it is.
    lives: values.confirm
      ? await withLease(run, repository, "prune", (held) => pruneLives(run, repository, policy, held))
      : await pruneLives(run, repository, policy, undefined),
    note: await repository.store.whyDeletedStays?.({ signal: run.io.signal }),
  }));
  await run.print({
    json: () => ({
      policy: policyJson(policy),
      confirmed: values.confirm,
      lives: lives.map(lifeJson),
      note: note ?? null,
    }),
    text: () => text(run, policy, lives, note),
  });
  if (lives.some((life) => "refused" in life)) return EXIT.refused;
  return exitCodeOf(lives.flatMap((life) => ("applied" in life && life.applied !== undefined ? [life.applied] : [])));
}

/** Each life apart: one of which nothing can be said keeps the others from nothing. */
async function pruneLives(
  run: CommandRun,
  repository: Repository,
  policy: RetentionPolicy,
  held: HeldLease | undefined,
): Promise<readonly Pruned[]> {
  const lives: Pruned[] = [];
  for (const identity of await chooseIdentities(run, repository)) {
    try {
      const planned = await planLife(run, repository, { identity, policy, now: held?.storeNow() ?? run.io.now() });
      const applied = await applyTo(run, repository, planned, held);
      lives.push({ planned, applied });
    } catch (error) {
      // A lost lease is no matter of one life.
      if (!isPgarkError(error, "refused") || error.object !== formatIdentity(identity)) throw error;
      lives.push({ identity, refused: error });
    }
  }
  return lives;
}

async function applyTo(
  run: CommandRun,
  repository: Repository,
  { deletion, frees }: PrunePlan,
  held: HeldLease | undefined,
): Promise<Applied | undefined> {
  return held && deleteWithProgress(run, repository, deletion, { ...held, expectedBytes: frees.bytes });
}

async function planLife(
  run: CommandRun,
  repository: Repository,
  {
    identity,
    policy,
    now,
  }: { readonly identity: ClusterIdentity; readonly policy: RetentionPolicy; readonly now: Date },
): Promise<PrunePlan> {
  const life = await loadRetainedLife(run, repository, identity);
  return planPrune(run, repository, life, { policy, graceMs: graceOf(run.settings.values), now });
}

function noPolicy(): PgarkError {
  return new PgarkError("usage", "no retention policy is set, so that nothing would ever go", {
    operation: "prune",
    hint:
      "say what is to be kept, best in pgark.yaml: keep-within: 30d keeps every moment of 30 days restorable; keep-last, " +
      "keep-daily, keep-weekly, keep-monthly and keep-yearly keep backups on top",
  });
}

function lifeJson(life: Pruned) {
  if ("refused" in life) {
    const { message, hint } = life.refused;
    return { identity: formatIdentity(life.identity), refused: { message, hint: hint ?? null } };
  }
  const deleted = life.applied === undefined ? null : appliedJson(life.applied);
  return { ...prunePlanJson(life.planned), refused: null, deleted };
}

function text(run: CommandRun, policy: RetentionPolicy, lives: readonly Pruned[], note: string | undefined): string {
  const { paint, settings } = run;
  if (lives.length === 0) return "the cluster has no life yet: run pgark init\n";
  const parts = lives.map((life) => {
    if (!("refused" in life)) {
      return prunePlanText(life.planned, paint) + (life.applied === undefined ? "" : appliedText(life.applied, paint));
    }
    const { message, hint } = life.refused;
    const advice = hint === undefined ? "" : `${paint("bold", "HINT:")} ${hint}\n`;
    return `${paint("bold", formatIdentity(life.identity))}: ${paint("red", "refused:")} ${message}\n${advice}`;
  });
  const end = [
    ...(note === undefined ? [] : [`${paint("bold", "NOTE:")} ${note}\n`]),
    ...(settings.values.confirm ? [] : ["nothing was deleted; --confirm does it\n"]),
  ];
  return [`${paint("bold", "policy:")} ${policyText(policy)}\n`, ...parts, ...end].join("\n");
}
