import { isPgarkError } from "../errors.ts";
import { parseBackupLabel } from "../postgres/backup-label.ts";
import { formatIdentity, sameIdentity } from "../postgres/cluster-identity.ts";
import { parseControlFile } from "../postgres/control-file.ts";
import { formatLsn } from "../postgres/lsn.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { CheckedPack, PackFault } from "../repository/worker/check-tasks.ts";
import { backupPart } from "./fault.ts";
import type { FaultKind, Findings } from "./fault.ts";
import { tellingFiles } from "./pack-groups.ts";

const faultKinds: Readonly<Record<PackFault["kind"], FaultKind>> = {
  stored: "damaged",
  content: "damaged",
  file: "damaged",
  pages: "bad-page",
};

/** What is wrong with a pack, as its reading found out. */
export function tellFaults(faults: readonly PackFault[], key: string, record: BackupRecord, findings: Findings): void {
  const isChanged = faults.some(({ kind }) => kind === "stored");
  const others = faults.filter(({ kind }) => kind !== "stored");
  for (const { kind, path, problem } of others.length === 0 ? faults : others) {
    const where = path === undefined ? "" : kind === "content" ? ` (from ${path} on)` : `${path}: `;
    const told = kind === "content" ? `${problem}${where}` : `${where}${problem}`;
    const since = kind === "stored" ? "" : isChanged ? "; the object was changed after it was stored" : "";
    findings.fault({
      kind: faultKinds[kind],
      object: key,
      problem: `${told}${since}`,
      hint:
        kind === "stored"
          ? "all files in it are as they must be, so that it can still be restored"
          : kind === "pages"
            ? "a restore brings the pages back as they are; see what other backups have in their place"
            : "restore from another backup if need be, and take a new one now",
      costs: kind === "stored" ? [] : [backupPart(record.label)],
    });
  }
}

/** The control file and the label say what the backup is, and the record must say the same. */
export function tellContents(
  contents: CheckedPack["contents"],
  key: string,
  record: BackupRecord,
  findings: Findings,
): void {
  for (const { path, content } of contents) {
    let problems: readonly string[];
    try {
      problems = path === tellingFiles.control ? controlProblems(content, record) : labelProblems(content, record);
    } catch (error) {
      if (isPgarkError(error, "refused")) continue; // of a PostgreSQL that is newer than this pgark
      if (!isPgarkError(error)) throw error;
      problems = [error.message];
    }
    for (const problem of problems) {
      const hint = "the record and the data are not of the same backup: use another backup, and take a new one now";
      const costs = [backupPart(record.label)];
      findings.fault({ kind: "contradiction", object: key, problem: `${path}: ${problem}`, hint, costs });
    }
  }
}

function controlProblems(content: Uint8Array, record: BackupRecord): readonly string[] {
  const control = parseControlFile(content);
  const identity = { ...record.identity, systemIdentifier: control.systemIdentifier };
  return [
    ...(sameIdentity(identity, record.identity) ? [] : [`it is of cluster ${formatIdentity(identity)}`]),
    ...differs("WAL segments of", control.walSegmentSize, record.walSegmentSize),
    ...differs("data checksums:", control.dataChecksums, record.dataChecksums),
  ];
}

function labelProblems(content: Uint8Array, record: BackupRecord): readonly string[] {
  const label = parseBackupLabel(Buffer.from(content).toString("utf8"));
  return [
    ...differs("start at", formatLsn(label.startLsn), formatLsn(record.startLsn)),
    ...differs("timeline", label.startTimeline, record.timeline),
    ...differs("backup", label.label, `pgark ${record.label}`),
  ];
}

function differs<T>(what: string, there: T, recorded: T): readonly string[] {
  return there === recorded ? [] : [`it says ${what} ${String(there)}, and backup.json ${String(recorded)}`];
}
