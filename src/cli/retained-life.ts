import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { Catalog } from "../repository/catalog.ts";
import { loadCatalog } from "../repository/load-catalog.ts";
import type { PassedOverBackup } from "../repository/load-catalog.ts";
import { loadPins } from "../repository/pins.ts";
import type { PinRecord } from "../repository/pins.ts";
import type { Repository } from "../repository/repository.ts";
import { isAbandoned, loadUnfinished } from "../repository/unfinished-backups.ts";
import type { UnfinishedBackup } from "../repository/unfinished-backups.ts";
import { PgarkError } from "../errors.ts";
import type { RetentionFacts, RunningBackup } from "../retention/retention-plan.ts";
import type { CommandRun } from "./command.ts";

/** All that deciding about one life needs, and that only the repository knows. */
export interface RetainedLife {
  readonly catalog: Catalog;
  readonly pins: readonly PinRecord[];
  /** folders of backups without a record */
  readonly unfinished: readonly UnfinishedBackup[];
  /** backups whose record is there and cannot be trusted: what WAL they need is not known */
  readonly unreadable: readonly PassedOverBackup[];
  /** labels of all folders */
  readonly labels: ReadonlySet<string>;
}

export async function loadRetainedLife(
  run: CommandRun,
  repository: Repository,
  identity: ClusterIdentity,
): Promise<RetainedLife> {
  const { signal } = run.io;
  const passedOver: PassedOverBackup[] = [];
  const onPassedOver = (backup: PassedOverBackup): void => void passedOver.push(backup);
  const catalog = await loadCatalog(repository, identity, { signal, log: run.log, onPassedOver });
  const complete = catalog.backups.map(({ label }) => label);
  const incomplete = passedOver.filter(({ problem }) => problem === undefined).map(({ label }) => label);
  return {
    catalog,
    pins: await loadPins(repository, identity, complete, { signal }),
    unfinished: await loadUnfinished(repository, identity, incomplete, { signal }),
    unreadable: passedOver.filter(({ problem }) => problem !== undefined),
    labels: new Set([...complete, ...passedOver.map(({ label }) => label)]),
  };
}

/** What the evaluation is made from. Until it is surely abandoned, an unfinished backup counts as one that is being taken. */
export function retentionFacts(life: RetainedLife, graceMs: number, now: Date): RetentionFacts {
  const running = runningBackups(life, graceMs, now).map(({ label, marker }): RunningBackup =>
    typeof marker === "string"
      ? { label, begun: labelTime(label), walFrom: undefined }
      : { label, begun: marker.begun, walFrom: marker.walFrom },
  );
  return { catalog: life.catalog, pins: life.pins, running, now };
}

/** Those that somebody may be at work on. */
export function runningBackups(life: RetainedLife, graceMs: number, now: Date): readonly UnfinishedBackup[] {
  return life.unfinished.filter((backup) => !isAbandoned(backup, graceMs, now));
}

/** Without knowing a backup's record nobody can tell which WAL it needs; throws `refused` then. */
export function refuseUnreadable({ catalog, unreadable }: RetainedLife, operation: string): void {
  const [first] = unreadable;
  if (first === undefined) return;
  const others = unreadable.length === 1 ? "" : `, and ${unreadable.length - 1} more like it`;
  throw new PgarkError("refused", `the record of backup ${first.label} cannot be read: ${first.problem}${others}`, {
    operation,
    object: formatIdentity(catalog.identity),
    hint:
      "what WAL it needs is not known, so none may go: put its backup.json back from a copy, use the pgark that wrote it, or " +
      `give the backup up with pgark delete ${first.label} --confirm`,
  });
}

/** A label is the moment when its backup began. */
function labelTime(label: string): Date {
  return new Date(label.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*$/, "$1-$2-$3T$4:$5:$6Z"));
}
