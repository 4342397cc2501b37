import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import { backupRecordKey, walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { loadWal } from "../repository/wal-object.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { backupPart } from "./fault.ts";
import type { Findings } from "./fault.ts";

/**
 * Reads one of the files that a primary archives about each backup (build_backup_content,
 * src/backend/access/transam/xlogbackup.c), and holds what it says against the record of that backup.
 */
export async function checkBackupHistory(
  repository: Repository,
  identity: ClusterIdentity,
  name: string,
  records: ReadonlyMap<string, BackupRecord>,
  findings: Findings,
  options: SignalOption,
): Promise<void> {
  let text: string;
  try {
    text = Buffer.from(await loadWal(repository, identity, name, options)).toString("utf8");
  } catch (error) {
    if (isPgarkError(error, "not-found")) return; // deleted just now
    // Nobody needs the file to recover; it is only worth knowing that the store does not keep what it was given.
    findings.error(error, walKey(repository.cluster, identity, name, repository.encrypted), []);
    return;
  }
  const record = records.get(/^LABEL: pgark (\S+)$/m.exec(text)?.[1] ?? "");
  if (record === undefined) return; // of somebody else's backup, or of one that is gone
  const said = [
    ["startLsn", /^START WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+) /m, formatLsn(record.startLsn)],
    ["stopLsn", /^STOP WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+) /m, formatLsn(record.stopLsn)],
    ["timeline", /^START TIMELINE: (\d+)$/m, String(record.timeline)],
  ] as const;
  for (const [field, pattern, own] of said) {
    const server = pattern.exec(text)?.[1];
    if (server === undefined || server === own) continue;
    findings.fault({
      kind: "contradiction",
      object: backupRecordKey(repository.cluster, identity, record.label),
      problem: `it says ${field}: ${own}, and the server's own ${name} says ${server}`,
      hint: "the record was changed by somebody who also gave it a digest: put it back from a copy of the repository",
      costs: [backupPart(record.label)],
    });
  }
}
