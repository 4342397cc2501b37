import { formatBytes, formatCount, formatDuration, plural } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Paint } from "./colours.ts";
import { formatMoment } from "./format.ts";
import { formatFacts } from "./table.ts";

/** One backup for people, a property a line. */
export function backupText(backup: BackupRecord, paint: Paint): string {
  const elapsed = backup.stopTime.getTime() - backup.startTime.getTime();
  const saved = backup.bytes === 0 ? "" : ` (${Math.round((backup.storedBytes / backup.bytes) * 100)}%)`;
  return formatFacts(
    [
      ["label", backup.label],
      ["type", backup.type],
      ["cluster", `PostgreSQL ${backup.serverVersion}, ${formatIdentity(backup.identity)}`],
      ["begun", formatMoment(backup.startTime)],
      ["ended", `${formatMoment(backup.stopTime)}, after ${formatDuration(elapsed)}`],
      ["timeline", String(backup.timeline)],
      ["WAL", `${formatLsn(backup.startLsn)} to ${formatLsn(backup.stopLsn)}`],
      ["copied", `${formatBytes(backup.bytes)} in ${plural(backup.files, "file")}`],
      ["stored", `${formatBytes(backup.storedBytes)}${saved} in ${plural(backup.packs, "pack")}`],
      ["encrypted", backup.encrypted ? "yes" : "no"],
      ["checksums", checksums(backup)],
      ["taken by", `${backup.host} (pgark ${backup.pgark}), from the ${backup.source}, ${backup.method}`],
      ...backup.tablespaces.map(
        ({ oid, location }) => ["tablespace", `${oid}: ${location ?? "inside the data directory"}`] as const,
      ),
    ],
    paint,
  );
}

function checksums(backup: BackupRecord): string {
  if (!backup.dataChecksums) return "the cluster has none";
  return backup.badPages === 0 ? "all pages verified" : `${formatCount(backup.badPages)} bad pages`;
}
