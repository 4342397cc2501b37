import { asIfWhole, LossJudge, withoutParts } from "../restore/lost-moments.ts";
import type { ArchivedAt, Loss } from "../restore/lost-moments.ts";
import type { WindowInterval } from "../restore/recovery-plan.ts";
import { recoveryWindow } from "../restore/recovery-window.ts";
import type { CatalogPart } from "../repository/catalog.ts";
import type { Fault, Findings } from "../verify/fault.ts";
import type { LifeReport } from "../verify/verify-life.ts";
import type { SortedHoles } from "./sort-holes.ts";

/** What `pgark verify` found, and what it means. */
export interface VerifyAnswer {
  readonly cluster: string;
  readonly depth: "listed" | "read";
  readonly sample: string | undefined;
  readonly seed: string | undefined;
  readonly begun: Date;
  readonly finished: Date;
  readonly result: "whole" | "faults" | "unknown";
  /** what lies directly in the cluster's folder and does not belong */
  readonly ofCluster: Findings;
  readonly lives: readonly JudgedLife[];
}

export interface JudgedLife extends Judgement {
  /** the key of the record that tells of it; undefined when none could be left */
  readonly recorded: string | undefined;
}

interface Judgement {
  readonly report: LifeReport;
  readonly faults: readonly JudgedFault[];
  /** by all faults together */
  readonly lost: Loss;
  /** what can still be restored */
  readonly window: readonly WindowInterval[];
  readonly holes: SortedHoles;
}

export interface JudgedFault extends Fault {
  /** what is lost by this fault alone; undefined where too many others were looked at already */
  readonly lost: Loss | undefined;
}

/** So many different losses are worked out one by one: each takes as long as `pgark list`. */
const mostLosses = 200;

const nothing: Loss = { backups: [], moments: [] };

/** All that the faults of a life make unusable. */
export function costsOf({ faults, moreCosts }: Findings): readonly CatalogPart[] {
  return [...faults.flatMap(({ costs }) => costs), ...moreCosts];
}

/** Works out what is lost by each fault, and by all of them. */
export function judgeLife(report: LifeReport, holes: SortedHoles, archivedAt: ArchivedAt): Judgement {
  const { faults } = report.findings;
  const parts = costsOf(report.findings);
  const lostHistories = parts.flatMap((part) => (part.kind === "history" ? [part.timeline] : []));
  const whole = asIfWhole(report.catalog, report.holes, lostHistories);
  const judge = new LossJudge(whole, archivedAt);
  const known = new Map<string, Loss>();
  const lossBy = (costs: readonly CatalogPart[]): Loss | undefined => {
    if (costs.length === 0) return nothing;
    const what = costs.map(partText).join();
    const found = known.get(what);
    if (found !== undefined || known.size >= mostLosses) return found;
    const loss = judge.lossOf(costs);
    known.set(what, loss);
    return loss;
  };
  return {
    report,
    faults: faults.map((fault) => ({ ...fault, lost: lossBy(fault.costs) })),
    lost: parts.length === 0 ? nothing : judge.lossOf(parts),
    window: recoveryWindow(withoutParts(whole, parts, archivedAt)),
    holes,
  };
}

function partText(part: CatalogPart): string {
  switch (part.kind) {
    case "backup":
      return part.label;
    case "history":
      return `history ${part.timeline}`;
    case "segments":
      return `${part.timeline}:${part.first}-${part.last}`;
  }
}
