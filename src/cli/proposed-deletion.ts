import { PgarkError } from "../errors.ts";
import { formatBytes, plural } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { Catalog } from "../repository/catalog.ts";
import type { Repository } from "../repository/repository.ts";
import type { WindowInterval } from "../restore/recovery-plan.ts";
import { recoveryWindow } from "../restore/recovery-window.ts";
import type { Applied, Deletion } from "../retention/apply-deletion.ts";
import { measureWal } from "../retention/measure-wal.ts";
import type { CommandRun } from "./command.ts";
import { deleteWithProgress, exitCodeOf } from "./delete-with-progress.ts";
import { windowJson } from "./json-shapes.ts";
import { section, windowLines } from "./plan-text.ts";
import { appliedJson } from "./prune-json.ts";
import { appliedText } from "./prune-text.ts";
import type { RetainedLife } from "./retained-life.ts";
import { withLease } from "./with-lease.ts";
import { withRepository } from "./with-repository.ts";

/** What somebody asked to have deleted, policy or not. */
export interface ProposedDeletion {
  readonly life: RetainedLife;
  readonly deletion: Deletion;
  /** the catalog when it is done */
  readonly after: Catalog;
  /** as stored, of the backups among it */
  readonly backupBytes: number;
}

/** Facts of a proposal that is about nothing more than some backups, with all else left as it is. */
export function emptyDeletion({ catalog, labels }: RetainedLife): Deletion {
  return {
    life: catalog,
    backups: [],
    abandoned: [],
    wal: [],
    partials: [],
    histories: [],
    walKept: new Map(),
    knownLabels: labels,
    running: new Set(),
  };
}

interface Shown extends ProposedDeletion {
  readonly before: readonly WindowInterval[];
  readonly afterwards: readonly WindowInterval[];
  readonly bytes: number;
  readonly estimated: boolean;
  readonly applied: Applied | undefined;
}

/**
 * Proposes a deletion and prints it; with `--confirm` it is proposed once more under the lease, and done. Resolves with the exit
 * code.
 *
 * @param propose decides from what is there now, or throws `refused`
 */
export async function runProposed(
  run: CommandRun,
  purpose: string,
  propose: (repository: Repository, now: Date) => Promise<ProposedDeletion>,
): Promise<number> {
  const { io, settings, paint } = run;
  const { confirm } = settings.values;
  const shown = await withRepository(run, { keys: "all" }, async (repository) => {
    if (!confirm) return show(run, repository, await propose(repository, io.now()), undefined);
    return withLease(run, repository, purpose, async (held) => {
      const proposed = await propose(repository, held.storeNow());
      const before = await show(run, repository, proposed, undefined);
      const expected = { ...held, expectedBytes: before.bytes };
      return { ...before, applied: await deleteWithProgress(run, repository, proposed.deletion, expected) };
    });
  });
  await run.print({
    json: () => shownJson(shown, confirm),
    text: () =>
      `${describe(shown)}\n` +
      section("can be restored now", windowLines(shown.before), paint) +
      section("can be restored afterwards", windowLines(shown.afterwards), paint) +
      (shown.applied === undefined ? "" : appliedText(shown.applied, paint)) +
      (confirm ? "" : "\nnothing was deleted; --confirm does it\n"),
  });
  return exitCodeOf(shown.applied === undefined ? [] : [shown.applied]);
}

async function show(
  run: CommandRun,
  repository: Repository,
  proposed: ProposedDeletion,
  applied: Applied | undefined,
): Promise<Shown> {
  const { life, deletion, after, backupBytes } = proposed;
  const wal = await measureWal(repository, life.catalog, deletion.wal, { signal: run.io.signal });
  const before = recoveryWindow(life.catalog);
  const afterwards = recoveryWindow(after);
  return { ...proposed, before, afterwards, bytes: backupBytes + wal.bytes, estimated: wal.estimated, applied };
}

function describe({ life, deletion, bytes, estimated }: Shown): string {
  const segments = deletion.wal.reduce((sum, { first, last }) => sum + Number(last - first + 1n), 0);
  const labels = deletion.backups.map(({ label }) => label).join(", ");
  const parts = [
    deletion.backups.length === 0 ? undefined : `${plural(deletion.backups.length, "backup")} (${labels})`,
    segments === 0 ? undefined : plural(segments, "WAL segment"),
    deletion.histories.length === 0 ? undefined : "its history",
  ].filter((part) => part !== undefined);
  const size = `${estimated ? "about " : ""}${formatBytes(bytes)}`;
  const what = parts.length === 0 ? "nothing but what is left of its name" : parts.join(", ");
  return `${formatIdentity(life.catalog.identity)}: to delete: ${what}; ${size}`;
}

function shownJson(shown: Shown, confirmed: boolean) {
  const { life, deletion, before, afterwards, bytes, estimated, applied } = shown;
  return {
    identity: formatIdentity(life.catalog.identity),
    confirmed,
    backups: deletion.backups.map(({ label }) => label),
    segments: deletion.wal.reduce((sum, { first, last }) => sum + Number(last - first + 1n), 0),
    bytes,
    estimated,
    windowBefore: before.map(windowJson),
    windowAfter: afterwards.map(windowJson),
    deleted: applied === undefined ? null : appliedJson(applied),
  };
}

export function refuse(operation: string, object: string, problem: string, hint: string): PgarkError {
  return new PgarkError("refused", problem, { operation, object, hint });
}
