import type { PgarkError } from "../errors.ts";
import { isPgarkError } from "../errors.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { CatalogPart } from "../repository/catalog.ts";

export type FaultKind =
  /** an object that must be there is not */
  | "missing"
  /** it has another size than was recorded, or none */
  | "wrong-size"
  /** its bytes are not what they must be */
  | "damaged"
  /** it is whole, but not what belongs under its name */
  | "misplaced"
  /** it is encrypted to other keys than the cluster's */
  | "wrong-key"
  /** two records say different things of the same */
  | "contradiction"
  /** the store will not let it be read */
  | "unreadable"
  /** nobody has use for an object of this name in this place */
  | "foreign"
  /** data pages whose checksum does not hold, in a file that is as it was stored */
  | "bad-page"
  /** WAL records that PostgreSQL will not replay, in a segment that is as it was stored */
  | "bad-record";

/** Something in a repository that is not as it must be. */
export interface Fault {
  readonly kind: FaultKind;
  /** its key; of several segments in a row, that of the first */
  readonly object: string;
  /** lower case, without a full stop */
  readonly problem: string;
  readonly hint: string | undefined;
  /** what cannot be used because of it; nothing for what only lies in the way */
  readonly costs: readonly CatalogPart[];
}

/** An object of which nobody can say how it is: the store did not answer. */
export interface Unknown {
  readonly object: string;
  readonly problem: string;
}

export function backupPart(label: string): CatalogPart {
  return { kind: "backup", label };
}

export function segmentPart(timeline: TimelineId, segment: bigint): CatalogPart {
  return { kind: "segments", timeline, first: segment, last: segment };
}

export function historyPart(timeline: TimelineId): CatalogPart {
  return { kind: "history", timeline };
}

/** Takes faults and what could not be found out; holds so many of each, and counts the rest. */
export class Findings {
  readonly faults: Fault[] = [];
  readonly unknown: Unknown[] = [];
  /** by faults beyond those in `faults` */
  readonly moreCosts: CatalogPart[] = [];
  faultCount = 0;
  unknownCount = 0;
  readonly #seen = new Set<string>();
  readonly #most: number;

  constructor(most = 10_000) {
    this.#most = most;
  }

  fault(fault: Fault): void {
    const what = `${fault.object}\n${fault.problem}`;
    if (this.#seen.has(what)) return; // by a run that this one goes on with
    this.#seen.add(what);
    this.faultCount++;
    if (this.faults.length < this.#most) this.faults.push(fault);
    else this.#keepCosts(fault.costs);
  }

  /** What the faults cost that are only counted; segments that follow one another are one part. */
  #keepCosts(costs: readonly CatalogPart[]): void {
    for (const part of costs) {
      const before = this.moreCosts.at(-1);
      const goesOn =
        part.kind === "segments" &&
        before?.kind === "segments" &&
        before.timeline === part.timeline &&
        before.last + 1n === part.first;
      if (goesOn) this.moreCosts[this.moreCosts.length - 1] = { ...part, first: before.first };
      else this.moreCosts.push(part);
    }
  }

  /** Takes what others have found. */
  addAll(others: Findings): void {
    others.faults.forEach((fault) => this.fault(fault));
    others.unknown.forEach((unknown) => this.couldNotTell(unknown));
    this.#keepCosts(others.moreCosts);
    this.faultCount += others.faultCount - others.faults.length;
    this.unknownCount += others.unknownCount - others.unknown.length;
  }

  couldNotTell(unknown: Unknown): void {
    this.unknownCount++;
    if (this.unknown.length < this.#most) this.unknown.push(unknown);
  }

  /** Takes an error about an object for what it means; throws it when it means nothing of the kind. */
  error(error: unknown, object: string, costs: readonly CatalogPart[], hint?: string): void {
    const found = meaningOf(error);
    if (found === undefined) throw error;
    const { kind, problem } = found;
    if (kind === "unknown") this.couldNotTell({ object, problem });
    else this.fault({ kind, object, problem, hint, costs });
  }
}

/** What an error about one object says of it; undefined for an error that is not about it. */
function meaningOf(error: unknown): { readonly kind: FaultKind | "unknown"; readonly problem: string } | undefined {
  if (!isPgarkError(error)) return undefined;
  const problem = describe(error);
  switch (error.code) {
    case "not-found":
      return { kind: "missing", problem: "it is not there" };
    case "corrupt":
      return { kind: "damaged", problem };
    case "identity-mismatch":
      return { kind: "misplaced", problem };
    case "no-identity":
      // That the keys at hand are the cluster's own was proven before anything was read.
      return { kind: "wrong-key", problem: "it is encrypted to other keys than the cluster's" };
    case "denied":
      return { kind: "unreadable", problem };
    case "unavailable":
    case "throttled":
    case "io":
    case "newer-format":
      return { kind: "unknown", problem };
    default:
      return undefined;
  }
}

/** With the field or the place that the error is about, where that says more than the object's key. */
function describe(error: PgarkError): string {
  const cause = error.cause instanceof Error && error.code === "corrupt" ? `: ${error.cause.message}` : "";
  return error.message.includes(cause.slice(2)) ? error.message : `${error.message}${cause}`;
}
