import { randomBytes } from "node:crypto";
import { isPgarkError } from "../../errors.ts";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import { loadAcknowledgedHoles } from "../../repository/acknowledged-holes.ts";
import type { Catalog } from "../../repository/catalog.ts";
import { loadPins } from "../../repository/pins.ts";
import type { Repository } from "../../repository/repository.ts";
import type { VerifyRecord } from "../../repository/verify-record.ts";
import { writeVerifyRecord } from "../../repository/verify-record.ts";
import { WorkerPool } from "../../repository/worker/worker-pool.ts";
import { isEmptyPolicy } from "../../retention/policy.ts";
import { Findings } from "../../verify/fault.ts";
import { findForeignInCluster } from "../../verify/find-foreign.ts";
import { proveKeys } from "../../verify/prove-keys.ts";
import { lookUpTimes } from "../../verify/look-up-times.ts";
import { verifyLife } from "../../verify/verify-life.ts";
import type { LifeReport, VerifyLifeOptions } from "../../verify/verify-life.ts";
import { VerifyState } from "../../verify/verify-state.ts";
import { chooseIdentities } from "../choose-life.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import type { ProgressDisplay } from "../progress.ts";
import { policyOf } from "../retention-settings.ts";
import { mainRepository } from "../settings.ts";
import { sortHoles } from "../sort-holes.ts";
import type { SortedHoles } from "../sort-holes.ts";
import { costsOf, judgeLife } from "../verify-verdict.ts";
import type { JudgedLife, VerifyAnswer } from "../verify-verdict.ts";
import { verifyJson, verifyText } from "../verify-text.ts";
import { withProgress } from "../with-progress.ts";
import { withRepository } from "../with-repository.ts";

/** Faults that a record in the repository tells; the rest it counts. */
const mostExamples = 10;

/** `pgark verify`: proves what is there, by lists or by reading it back. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io } = run;
  const answer = await withRepository(run, { keys: "all" }, async (repository): Promise<VerifyAnswer> => {
    const { sample } = settings.values;
    const depth = settings.values.read || sample !== undefined ? "read" : "listed";
    await proveKeys(repository, depth === "read" ? "data" : "manifests");
    const scope = {
      repository: mainRepository(settings),
      cluster: repository.cluster,
      sample: sample === undefined ? undefined : shareText(sample),
    };
    const file = depth === "read" ? settings.values["state-file"] : undefined;
    const seed = settings.values.seed ?? randomBytes(4).toString("hex");
    const state = await VerifyState.open(file, scope, { seed, now: io.now });
    if (state.isResumed) run.log.info(`going on with the run that began at ${state.begun.toISOString()}`);
    const verification = new Verification(run, repository, depth, state);
    const result = await verification.run();
    // What could not be found out is tried again by the next run.
    if (result.lives.every(({ report }) => report.findings.unknownCount === 0)) await state.remove();
    return result;
  });
  await run.print({ json: () => verifyJson(answer), text: () => verifyText(answer, run.paint) });
  if (answer.result === "whole") return EXIT.ok;
  return answer.result === "faults" ? EXIT.damaged : EXIT.unreachable;
}

class Verification {
  readonly #run: CommandRun;
  readonly #repository: Repository;
  readonly #depth: "listed" | "read";
  readonly #state: VerifyState;

  constructor(run: CommandRun, repository: Repository, depth: "listed" | "read", state: VerifyState) {
    this.#run = run;
    this.#repository = repository;
    this.#depth = depth;
    this.#state = state;
  }

  async run(): Promise<VerifyAnswer> {
    const { settings, io } = this.#run;
    const { values } = settings;
    const ofCluster = new Findings();
    await findForeignInCluster(this.#repository, ofCluster, { signal: io.signal });
    const pool = this.#depth === "read" ? new WorkerPool(values.jobs ?? defaultJobs(io.processors)) : undefined;
    const lives: JudgedLife[] = [];
    try {
      await withProgress(this.#run, async (progress) => {
        for (const identity of await chooseIdentities(this.#run, this.#repository)) {
          lives.push(await this.#verify(identity, pool, progress));
        }
      });
    } finally {
      await pool?.close();
    }
    const all = [ofCluster, ...lives.map(({ report }) => report.findings)];
    return {
      cluster: this.#repository.cluster,
      depth: this.#depth,
      sample: this.#sampleText(),
      seed: this.#sampleText() === undefined ? undefined : this.#state.seed,
      begun: this.#state.begun,
      finished: io.now(),
      result: resultOf(all),
      ofCluster,
      lives,
    };
  }

  async #verify(
    identity: ClusterIdentity,
    pool: WorkerPool | undefined,
    progress: ProgressDisplay,
  ): Promise<JudgedLife> {
    const { signal } = this.#run.io;
    const share = this.#run.settings.values.sample;
    const sample = share === undefined ? undefined : { share, seed: this.#state.seed };
    let holes: SortedHoles = { needed: [], acknowledged: [], expired: [] };
    const options: VerifyLifeOptions = {
      read: pool && { pool, sample, state: this.#state },
      findHoles: async (catalog) => (holes = await this.#sortHoles(catalog)).needed,
      onProgress: progress.onProgress,
      signal,
    };
    const report = await verifyLife(this.#repository, identity, options);
    const archivedAt = await lookUpTimes(this.#repository, report.catalog, costsOf(report.findings), { signal });
    return { ...judgeLife(report, holes, archivedAt), recorded: await this.#record(report) };
  }

  /** Pins and acknowledged holes matter, and are asked for, only where WAL is missing. */
  async #sortHoles(catalog: Catalog): Promise<SortedHoles> {
    const { io, settings } = this.#run;
    const policy = policyOf(settings.values);
    const facts = { catalog, pins: [], running: [], now: io.now() };
    const found = sortHoles(facts, {}, []);
    if (found.needed.length === 0) return found;
    const options = { signal: io.signal };
    const labels = catalog.backups.map(({ label }) => label);
    const known = await loadAcknowledgedHoles(this.#repository, catalog, options).catch(passOverDamaged);
    const pins = isEmptyPolicy(policy)
      ? []
      : await loadPins(this.#repository, catalog.identity, labels, options).catch(passOverDamaged);
    return sortHoles({ ...facts, pins }, policy, known);
  }

  /** Leaves what was found in the repository, for status; one that may only be read is verified all the same. */
  async #record(report: LifeReport): Promise<string | undefined> {
    const { io, version, log } = this.#run;
    const { findings } = report;
    const record: VerifyRecord = {
      begun: this.#state.begun,
      finished: io.now(),
      depth: this.#depth,
      sample: this.#sampleText(),
      result: resultOf([findings]),
      faults: findings.faultCount,
      unknown: findings.unknownCount,
      examples: findings.faults.slice(0, mostExamples).map(({ kind, object, problem }) => ({ kind, object, problem })),
      backups: report.catalog.backups.length,
      segments: report.segments,
      packsRead: report.packsRead,
      segmentsRead: report.segmentsRead,
      bytesRead: report.bytesRead,
      host: io.hostName,
      pgark: version,
    };
    try {
      return await writeVerifyRecord(this.#repository, report.identity, record, { signal: io.signal });
    } catch (error) {
      if (!isPgarkError(error) || error.code === "aborted") throw error;
      log.warn(`the result could not be left in the repository: ${error.message}`, { object: error.object });
      return undefined;
    }
  }

  #sampleText(): string | undefined {
    const { sample } = this.#run.settings.values;
    return sample === undefined ? undefined : shareText(sample);
  }
}

/** "5%" */
function shareText(share: number): string {
  return `${Number((share * 100).toPrecision(6))}%`;
}

function resultOf(all: readonly Findings[]): "whole" | "faults" | "unknown" {
  if (all.some(({ faultCount }) => faultCount > 0)) return "faults";
  return all.some(({ unknownCount }) => unknownCount > 0) ? "unknown" : "whole";
}

/** That one of them is damaged is told as a fault of its own; without them more WAL counts as needed. */
function passOverDamaged(error: unknown): readonly [] {
  if (isPgarkError(error, "corrupt", "newer-format", "not-found", "denied")) return [];
  throw error;
}
