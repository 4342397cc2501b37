import { formatIdentity, sameIdentity } from "../../postgres/cluster-identity.ts";
import type { ClusterIdentity } from "../../postgres/cluster-identity.ts";
import { loadCatalog } from "../../repository/load-catalog.ts";
import type { Repository } from "../../repository/repository.ts";
import { recoveryWindow } from "../../restore/recovery-window.ts";
import { walOfBackup } from "../../retention/wal-range.ts";
import type { CommandRun } from "../command.ts";
import { findBackup } from "../find-backup.ts";
import { formatMoment } from "../format.ts";
import { emptyDeletion, refuse, runProposed } from "../proposed-deletion.ts";
import type { ProposedDeletion } from "../proposed-deletion.ts";
import { loadRetainedLife } from "../retained-life.ts";
import type { RetainedLife } from "../retained-life.ts";
import { graceOf } from "../retention-settings.ts";

const operation = "delete";

/** `pgark delete <label>`: one backup, whatever the policy says. */
export async function main(run: CommandRun): Promise<number> {
  const [label = ""] = run.args;
  graceOf(run.settings.values);
  return runProposed(run, `delete ${label}`, (repository, now) => propose(run, repository, label, now));
}

async function propose(run: CommandRun, repository: Repository, label: string, now: Date): Promise<ProposedDeletion> {
  const identity = await findBackup(run, repository, label, operation);
  const life = await loadRetainedLife(run, repository, identity);
  const { catalog } = life;
  // None when its record cannot be read: then it is of no use to anybody.
  const record = catalog.backups.find((backup) => backup.label === label);
  refusePinned(life, label, now);
  const after = { ...catalog, backups: catalog.backups.filter((backup) => backup !== record) };
  const isLast = recoveryWindow(catalog).length > 0 && recoveryWindow(after).length === 0;
  if (isLast && !(await canRestoreOther(run, repository, identity))) {
    throw refuse(
      operation,
      label,
      "it is the last backup that can be restored",
      "take another one first: pgark backup",
    );
  }
  const doomed = { label, wal: record === undefined ? undefined : walOfBackup(record) };
  return {
    life,
    deletion: { ...emptyDeletion(life), backups: [doomed] },
    after,
    backupBytes: record?.storedBytes ?? 0,
  };
}

function refusePinned({ pins }: RetainedLife, label: string, now: Date): void {
  const pin = pins.find((each) => each.label === label && (each.until === undefined || each.until > now));
  if (pin === undefined) return;
  const until = pin.until === undefined ? "" : ` until ${formatMoment(pin.until)}`;
  const why = pin.reason === "" ? "" : `: ${pin.reason}`;
  throw refuse(operation, label, `it is pinned${until}${why}`, `pgark unkeep ${label} lets it go`);
}

/** The last backup of a life that is over may go, when there is one of another life. */
async function canRestoreOther(run: CommandRun, repository: Repository, identity: ClusterIdentity): Promise<boolean> {
  const { signal } = run.io;
  for (const other of await repository.identities({ signal })) {
    if (sameIdentity(other, identity)) continue;
    const catalog = await loadCatalog(repository, other, { signal, log: run.log });
    if (recoveryWindow(catalog).length === 0) continue;
    run.log.warn(`afterwards nothing of ${formatIdentity(identity)} can be restored, only of ${formatIdentity(other)}`);
    return true;
  }
  return false;
}
