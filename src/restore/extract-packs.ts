import path from "node:path";
import { isPgarkError, PgarkError } from "../errors.ts";
import type { OnProgress } from "../log.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import { openHeader } from "../repository/envelope/age-header.ts";
import { backupFolder, manifestKey, packName } from "../repository/layout.ts";
import { parseMode } from "../repository/manifest.ts";
import type { FileLine, ManifestLine, PackLine } from "../repository/manifest.ts";
import { readManifest } from "../repository/manifest-reader.ts";
import type { Repository } from "../repository/repository.ts";
import type { ExtractFile } from "../repository/worker/pack-tasks.ts";
import { Counters } from "../repository/worker/pack-tasks.ts";
import { receivePack } from "../repository/worker/receive-pack.ts";
import { createSharedParts } from "../repository/worker/shared-parts.ts";
import { WorkerPool } from "../repository/worker/worker-pool.ts";

export interface ExtractOptions {
  readonly pgdata: string;
  readonly jobs: number;
  /** the name, below PGDATA, that a file is written under; undefined leaves it out */
  readonly rename: (path: string) => string | undefined;
  /** sees every line of the manifest */
  readonly onLine: (line: ManifestLine) => void;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal | undefined;
}

interface PackGroup {
  readonly pack: PackLine;
  readonly files: readonly FileLine[];
}

/** More than the header of any pack. */
const headerReadSize = 64 * 1024;

/**
 * Throws `no-identity` unless the keys at hand open the data. To be asked before anything is written: the host's own key opens
 * the manifest, and a restore would only fail after it has begun.
 */
export async function provePacksOpen(
  repository: Repository,
  record: BackupRecord,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<void> {
  if (!record.encrypted || record.packs === 0) return;
  const key = `${backupFolder(repository.cluster, record.identity, record.label)}${packName(0, true)}`;
  try {
    const range = { offset: 0, length: headerReadSize };
    await openHeader(await repository.store.get(key, { range, signal: options.signal }), repository.secretKeys);
  } catch (error) {
    throw naming(key, error);
  }
}

/** Writes all files of a backup, pack by pack, several at once; each is verified. Syncing is left to the caller. */
export async function extractPacks(
  repository: Repository,
  record: BackupRecord,
  options: ExtractOptions,
): Promise<{ readonly files: number; readonly bytes: number }> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(new PgarkError("aborted", "stopped", { operation: "restore" }));
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const pool = new WorkerPool(options.jobs);
  const shared = Counters.create();
  const counters = new Counters(shared);
  const report = (): void => {
    const { bytes, files } = counters;
    options.onProgress({ phase: "restore", doneBytes: bytes, totalBytes: record.bytes, doneFiles: files });
  };
  report(); // rates are counted from here
  const timer = setInterval(report, 250);
  const lines = namingErrors(
    readManifest(repository, record, { signal: stop.signal }),
    manifestKey(repository.cluster, record.identity, record.label, record.encrypted),
  );
  const groups = groupByPack(lines, options.onLine);
  const lane = async (): Promise<void> => {
    const parts = createSharedParts(repository.store.capabilities.partSize);
    try {
      for (let next = await groups.next(); next.done !== true; next = await groups.next()) {
        stop.signal.throwIfAborted();
        const { pack, files } = next.value;
        const key = `${backupFolder(repository.cluster, record.identity, record.label)}${pack.name}`;
        await receivePack({
          store: repository.store,
          pool,
          key,
          size: pack.size,
          encrypted: record.encrypted,
          secretKeys: repository.secretKeys,
          files: extractFiles(files, pack, options),
          parts,
          counters: shared,
          signal: stop.signal,
        }).catch((error: unknown) => {
          throw naming(key, error);
        });
      }
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  try {
    // One lane more than there are workers, so that none waits for the next pack's first bytes.
    await Promise.allSettled(Array.from({ length: options.jobs + 1 }, lane));
    // The first failure is the reason of the stop; the others are its consequences.
    stop.signal.throwIfAborted();
    report();
    return { files: counters.files, bytes: counters.bytes };
  } finally {
    clearInterval(timer);
    options.signal?.removeEventListener("abort", onAbort);
    await pool.close();
  }
}

async function* namingErrors<T>(batches: AsyncIterable<T>, key: string): AsyncGenerator<T> {
  try {
    yield* batches;
  } catch (error) {
    throw naming(key, error);
  }
}

/** What finds the damage, deep in the work per byte, knows neither the object nor the way out. */
function naming(key: string, error: unknown): unknown {
  if (!isPgarkError(error, "corrupt", "no-identity", "not-found")) return error;
  const isGone = error.code === "not-found";
  const where = error.object === undefined || error.object === key ? "" : ` (${error.object})`;
  const problem = isGone ? "the object is not there, though the backup is listed as complete" : error.message + where;
  return new PgarkError(isGone ? "corrupt" : error.code, problem, {
    operation: "restore",
    object: key,
    cause: error.cause,
    hint: error.hint ?? "restore from another backup (`pgark list`); `--backup` names it",
  });
}

/** A pack's line stands before the lines of its files. */
async function* groupByPack(
  batches: AsyncIterable<readonly ManifestLine[]>,
  onLine: (line: ManifestLine) => void,
): AsyncGenerator<PackGroup> {
  let pack: PackLine | undefined;
  let files: FileLine[] = [];
  for await (const batch of batches) {
    for (const line of batch) {
      onLine(line);
      if (line.type === "pack") {
        if (pack !== undefined) yield { pack, files };
        pack = line;
        files = [];
      } else if (line.type === "file") files.push(line);
    }
  }
  if (pack !== undefined) yield { pack, files };
}

function extractFiles(files: readonly FileLine[], pack: PackLine, options: ExtractOptions): readonly ExtractFile[] {
  const wanted: ExtractFile[] = [];
  for (const file of files) {
    const name = options.rename(file.path);
    if (name === undefined) continue;
    const [extent, ...others] = file.extents;
    const isWhole = file.size === 0 || (extent?.pack === pack.pack && extent.length === file.size);
    if (others.length > 0 || !isWhole) {
      throw new PgarkError("newer-format", "the file lies in several packs, which this pgark cannot put together", {
        operation: "read manifest",
        object: file.path,
        hint: "use the version of pgark that took the backup, or a later one",
      });
    }
    wanted.push({
      path: file.path,
      target: path.join(options.pgdata, name),
      offset: extent?.offset ?? 0,
      size: file.size,
      mode: parseMode(file.mode),
      crc32c: Number.parseInt(file.crc32c, 16),
    });
  }
  return wanted.sort((a, b) => a.offset - b.offset);
}
