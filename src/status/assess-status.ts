import { assessArchiving } from "./assess-archiving.ts";
import { assessAges, assessLife } from "./assess-repository.ts";
import type { Finding } from "./finding.ts";
import { sortFindings } from "./finding.ts";
import { measureStatus } from "./measure-status.ts";
import type { Measure, Measured, Thresholds } from "./measures.ts";
import { presentLife } from "./present-life.ts";
import type { StatusFacts } from "./status-facts.ts";

/** How a cluster's backups and archiving stand. */
export interface Assessment {
  /** the worst of the findings */
  readonly status: "ok" | "warning" | "critical";
  /** worst first */
  readonly findings: readonly Finding[];
  readonly measured: Measured;
  readonly thresholds: Thresholds;
  /** measures that the user set thresholds for and whose value could not be found out */
  readonly unmeasured: readonly Measure[];
}

/** Judges what was found out. Pure: the same facts, the same findings. */
export function assessStatus(facts: StatusFacts, thresholds: Thresholds): Assessment {
  const measured = measureStatus(facts);
  const life = presentLife(facts);
  const findings = sortFindings([
    ...(life === undefined ? [noLife(facts)] : []),
    ...facts.lives.toReversed().flatMap((each) => assessLife(each, each === life)),
    ...(life === undefined ? [] : assessAges(life, measured, thresholds)),
    ...assessArchiving(facts, measured, thresholds),
  ]);
  const isAny = (severity: Finding["severity"]): boolean => findings.some((finding) => finding.severity === severity);
  return {
    status: isAny("critical") ? "critical" : isAny("warning") ? "warning" : "ok",
    findings,
    measured,
    thresholds,
    unmeasured: thresholds.wanted.filter((name) => measured[name] === undefined),
  };
}

function noLife({ cluster }: StatusFacts): Finding {
  return {
    code: "no-life",
    severity: "critical",
    identity: undefined,
    object: cluster,
    problem: `cluster "${cluster}" has no life yet, so nothing is archived and nothing can be restored`,
    todo: "run pgark init for its server, then pgark backup",
  };
}
