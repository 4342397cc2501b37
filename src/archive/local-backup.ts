import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { isPgarkError, PgarkError } from "../errors.ts";
import { beginBackup, endBackup } from "../postgres/backup-session.ts";
import { formatIdentity, sameIdentity } from "../postgres/cluster-identity.ts";
import type { Session } from "../postgres/connection.ts";
import { parseControlFile, readClusterIdentity, readControlFile } from "../postgres/control-file.ts";
import { scanDataDirectory } from "../postgres/data-directory-scan.ts";
import type { ScannedEntry, ScanOptions } from "../postgres/data-directory-scan.ts";
import type { ServerInfo } from "../postgres/server-info.ts";
import type { PackEntry } from "../repository/worker/pack-tasks.ts";
import { runsOn } from "../postgres/runs-on.ts";
import { announceCheckpoint } from "./announce-checkpoint.ts";
import type { BackupJob, CopiedCluster } from "./backup-types.ts";
import { planPacks } from "./pack-plan.ts";
import { reportProgress } from "./report-progress.ts";

const controlFile = "global/pg_control";

/** Copies PGDATA from this machine's own file system, in parallel, between the two ends of backup mode. */
export async function copyLocally(session: Session, job: BackupJob): Promise<CopiedCluster> {
  const { options, server, signal } = job;
  const pgdata = await findDataDirectory(session, options.pgdata, server);
  const scanOptions: ScanOptions = {
    log: options.log,
    ...(server.statsTempDirectory === undefined ? {} : { excludeContents: [server.statsTempDirectory] }),
  };
  announceCheckpoint(options);
  const begun = await beginBackup(session, { label: `pgark ${job.label}`, fast: options.fast });
  const tablespaces: { oid: number; location: string | undefined }[] = [];
  const totals = measure(pgdata, scanOptions);
  const progress = reportProgress("copy", job.uploader.counters, totals, options.onProgress);
  try {
    const entries = watchTablespaces(scanDataDirectory(pgdata, scanOptions), tablespaces);
    await sendPacks(entries, pgdata, job);
  } finally {
    progress.end();
  }
  signal.throwIfAborted();
  // Last of all files: on a standby its minimum recovery point must not be older than any page that was copied.
  const control = readControlEntry(pgdata);
  const ended = await endBackup(session);
  await job.uploader.add([control, ...labelEntries(ended.labelFile, ended.tablespaceMap, ended.stopTime)], []);
  return { ...begun, ...ended, tablespaces, warnings: [], checksumFailures: false };
}

/** The server's own data directory as it is seen from here; `refused` when what lies there belongs to another cluster. */
async function findDataDirectory(
  session: Session,
  configured: string | undefined,
  server: ServerInfo,
): Promise<string> {
  const pgdata = configured ?? server.dataDirectory;
  const hint = "name it with --pgdata, run pgark on the database host as its owner, or use --remote";
  if (pgdata === undefined) {
    throw new PgarkError("refused", "the server does not say where its data directory is", {
      operation: "find data directory",
      hint: `${hint}; the role needs pg_read_all_settings to see it`,
    });
  }
  let found;
  try {
    found = readClusterIdentity(pgdata);
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    throw new PgarkError("refused", `the data directory cannot be read here: ${error.message}`, {
      operation: "find data directory",
      object: pgdata,
      cause: error,
      hint,
    });
  }
  if (!sameIdentity(found, server.identity)) {
    throw new PgarkError(
      "identity-mismatch",
      `the directory holds cluster ${formatIdentity(found)}, and the server is ${formatIdentity(server.identity)}`,
      { operation: "find data directory", object: pgdata, hint },
    );
  }
  if (await runsOn(session, pgdata)) return pgdata;
  throw new PgarkError("refused", "the directory holds a copy of the cluster that the server does not run on", {
    operation: "find data directory",
    object: pgdata,
    hint: `it may be that of a standby or a clone, and the connection lead to another server: ${hint}`,
  });
}

/** One walk for the total; the copy then has a length to measure itself against. */
function measure(pgdata: string, options: ScanOptions): { readonly bytes: number } {
  let bytes = 0;
  for (const entry of scanDataDirectory(pgdata, { excludeContents: options.excludeContents })) {
    if (entry.kind === "file") bytes += entry.size;
  }
  return { bytes };
}

function* watchTablespaces(
  entries: Iterable<ScannedEntry>,
  found: { oid: number; location: string | undefined }[],
): Generator<ScannedEntry> {
  for (const entry of entries) {
    if (entry.kind === "tablespace") found.push({ oid: entry.oid, location: entry.location });
    const inPlace = entry.kind === "directory" ? /^pg_tblspc\/(\d+)$/.exec(entry.path)?.[1] : undefined;
    const isKnown = found.some(({ oid }) => String(oid) === inPlace);
    if (inPlace !== undefined && !isKnown) found.push({ oid: Number(inPlace), location: undefined });
    if (entry.kind !== "file" || entry.path !== controlFile) yield entry;
  }
}

async function sendPacks(entries: Iterable<ScannedEntry>, pgdata: string, job: BackupJob): Promise<void> {
  const packs = planPacks(entries, {
    pgdata,
    pageChecksums: job.server.dataChecksums,
    relationSegmentBlocks: readControlFile(pgdata).relationSegmentBlocks,
  });
  const lane = async (): Promise<void> => {
    try {
      for (let next = packs.next(); next.done !== true; next = packs.next()) {
        job.signal.throwIfAborted();
        await job.uploader.add(next.value.entries, next.value.lines);
      }
    } catch (error) {
      job.fail(error);
      throw error;
    }
  };
  // One lane more than there are workers: while the store finishes one pack, the worker has the next. All must have ended
  // before anything is cleaned up.
  const lanes = await Promise.allSettled(Array.from({ length: job.uploader.pool.threads + 1 }, lane));
  const failed = lanes.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** The control file whole: its CRC holds, or it is read again. */
function readControlEntry(pgdata: string): PackEntry {
  const file = path.join(pgdata, controlFile);
  for (let attempt = 1; ; attempt++) {
    const content = readFileSync(file);
    try {
      parseControlFile(content);
      return { kind: "content", path: controlFile, mode: 0o600, modifiedMs: statSync(file).mtimeMs, content };
    } catch (error) {
      if (attempt === 10) throw error;
    }
  }
}

/** The two files that tell recovery where to begin; they exist only in the backup. */
export function labelEntries(label: string, tablespaceMap: string, when: Date): readonly PackEntry[] {
  const entry = (name: string, text: string): PackEntry => ({
    kind: "content",
    path: name,
    mode: 0o600,
    modifiedMs: when.getTime(),
    content: Buffer.from(text),
  });
  const map = tablespaceMap === "" ? [] : [entry("tablespace_map", tablespaceMap)];
  return [entry("backup_label", label), ...map];
}
