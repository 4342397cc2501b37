import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errnoOf, ioError } from "../errors.ts";
import type { Log, OnProgress } from "../log.ts";
import type { ManifestLine } from "../repository/manifest.ts";
import { parseMode } from "../repository/manifest.ts";
import type { Repository } from "../repository/repository.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { BackupManifestFile } from "./backup-manifest-file.ts";
import { extractPacks, provePacksOpen } from "./extract-packs.ts";
import type { RecoveryPlan } from "./recovery-plan.ts";
import { recoverySettings, rewriteAutoConf } from "./recovery-settings.ts";
import { syncEntry, syncTree } from "./sync-tree.ts";
import { controlFile, markerName, prepareTarget, removeMarker } from "./target-directory.ts";

export interface RestoreOptions extends SignalOption {
  /** absolute */
  readonly pgdata: string;
  /** new places of tablespaces, by old place or oid */
  readonly tablespaces: ReadonlyMap<string, string>;
  /** where `pg_wal` is to be, outside PGDATA */
  readonly waldir?: string | undefined;
  readonly jobs: number;
  readonly action: "pause" | "promote" | "shutdown";
  readonly standby: boolean;
  readonly archiving: boolean;
  readonly restoreCommand: string;
  readonly log: Log;
  readonly onProgress: OnProgress;
}

export interface RestoreResult {
  readonly files: number;
  readonly bytes: number;
  /** lines that were written to `postgresql.auto.conf` */
  readonly settings: readonly string[];
}

/** The control file until all else is safe; without its right name no server starts on the directory. */
const pendingControlFile = `${controlFile}.pgark`;

/** Carries a plan out: the data directory is complete, synced and ready to start when this returns, or cannot start at all. */
export async function applyRestore(
  repository: Repository,
  plan: RecoveryPlan,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const { pgdata } = options;
  const record = plan.backup;
  const linked = record.tablespaces.filter((tablespace) => tablespace.location !== undefined);
  const tablespaces = new Map(
    linked.map(({ oid, location = "" }) => {
      const place = options.tablespaces.get(String(oid)) ?? options.tablespaces.get(location) ?? location;
      return [oid, path.resolve(place)] as const;
    }),
  );
  await provePacksOpen(repository, record, options);
  prepareTarget({ pgdata, tablespaces, waldir: options.waldir }, record.bytes, options.log);
  const directories: { readonly path: string; readonly mode: number }[] = [];
  const manifest = new BackupManifestFile(path.join(pgdata, "backup_manifest"), record);
  const done = await extractPacks(repository, record, {
    pgdata,
    jobs: options.jobs,
    rename: renameFile,
    onLine: (line) => {
      if (line.type === "directory") directories.push({ path: line.path, mode: parseMode(line.mode) });
      if (line.type === "file" && renameFile(line.path) !== undefined) manifest.add(line);
      noteLink(line, options);
    },
    onProgress: options.onProgress,
    signal: options.signal,
  }).catch((error: unknown) => {
    manifest.abort();
    throw error;
  });
  manifest.end();
  const settings = recoverySettings({ plan, ...options });
  try {
    finish(pgdata, directories, settings, options.standby, record.label, [
      ...tablespaces.values(),
      ...(options.waldir === undefined ? [] : [options.waldir]),
      pgdata,
    ]);
  } catch (error) {
    throw ioError("finish restore", pgdata, error);
  }
  return { ...done, settings };
}

/**
 * `tablespace_map` would have the server put the links back where they were; the links are made here. A marker in the backup
 * is the source's own, which a restore that was killed at its very end may have left there.
 */
function renameFile(name: string): string | undefined {
  if (name === "tablespace_map" || name === markerName) return undefined;
  return name === controlFile ? pendingControlFile : name;
}

function noteLink(line: ManifestLine, options: RestoreOptions): void {
  if (line.type !== "directory" || line.target === undefined || options.waldir !== undefined) return;
  options.log.info(
    `${line.path} was a link to ${line.target}; it is restored as a directory (--waldir puts pg_wal elsewhere)`,
  );
}

/** Directories, settings, then everything synced, and the control file's name last of all. */
function finish(
  pgdata: string,
  directories: readonly { readonly path: string; readonly mode: number }[],
  settings: readonly string[],
  standby: boolean,
  label: string,
  places: readonly string[],
): void {
  for (const directory of directories) mkdirSync(path.join(pgdata, directory.path), { recursive: true, mode: 0o700 });
  const autoConf = path.join(pgdata, "postgresql.auto.conf");
  const header = `written by pgark restore of backup ${label}`;
  writeFileSync(autoConf, rewriteAutoConf(readIfThere(autoConf), settings, header), { mode: 0o600 });
  writeFileSync(path.join(pgdata, standby ? "standby.signal" : "recovery.signal"), "", { mode: 0o600 });
  // Deepest first: a directory's own mode may forbid to enter it.
  for (const { path: name, mode } of directories.toReversed()) chmodSync(path.join(pgdata, name), mode);
  syncTree(places);
  renameSync(path.join(pgdata, pendingControlFile), path.join(pgdata, controlFile));
  syncEntry(path.join(pgdata, "global"));
  // The very last thing; not synced, since a marker that a crash brings back harms nobody.
  removeMarker(pgdata);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}
