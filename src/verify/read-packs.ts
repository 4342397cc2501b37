import { isPgarkError } from "../errors.ts";
import { parseControlFile } from "../postgres/control-file.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import { backupFolder, manifestKey } from "../repository/layout.ts";
import { readManifest } from "../repository/manifest-reader.ts";
import type { Repository } from "../repository/repository.ts";
import type { CheckedPack, PageCheck } from "../repository/worker/check-tasks.ts";
import { Counters } from "../repository/worker/pack-tasks.ts";
import { receiveObject } from "../repository/worker/receive-object.ts";
import type { SharedParts } from "../repository/worker/shared-parts.ts";
import { createSharedParts } from "../repository/worker/shared-parts.ts";
import type { WorkerPool } from "../repository/worker/worker-pool.ts";
import { isGone, isPackChosen } from "./check-backup.ts";
import type { CheckedBackup } from "./check-backup.ts";
import { backupPart } from "./fault.ts";
import type { Findings } from "./fault.ts";
import { InOrder } from "./in-order.ts";
import { Lanes } from "./lanes.ts";
import { filesToCheck, PackGrouper, tellingFiles, usualGeometry } from "./pack-groups.ts";
import type { PackGroup, PageGeometry } from "./pack-groups.ts";
import { tellContents, tellFaults } from "./pack-faults.ts";
import type { Sample } from "./sample.ts";

/** Of the parts in which the pack with the control file is read ahead, which is small as a rule. */
const smallPart = 1024 * 1024;

export interface ReadPacksOptions {
  readonly pool: WorkerPool;
  readonly counters: SharedArrayBuffer;
  readonly sample: Sample | undefined;
  /** how many packs of a backup, in the order of its manifest, an earlier run has done */
  readonly done: (label: string) => number;
  /** told when all packs before this one are done */
  readonly onDone: (label: string, packs: number) => void;
  /** told of each pack that was read, and of its stored bytes */
  readonly onRead: (bytes: number) => void;
  readonly findings: Findings;
  readonly signal: AbortSignal | undefined;
}

interface Piece extends PackGroup {
  readonly backup: CheckedBackup;
  readonly geometry: PageGeometry;
  readonly finish: (isKnown: boolean) => void;
}

/** Reads packs in full, backup by backup and several packs at once. Resolves with whether the store answered to the end. */
export async function readPacks(
  repository: Repository,
  backups: readonly CheckedBackup[],
  options: ReadPacksOptions,
): Promise<boolean> {
  const lanes = new Lanes(options.signal);
  // One lane more than there are workers, so that none waits for the next pack's first bytes.
  await lanes.run(pieces(repository, backups, lanes.signal, options), options.pool.threads + 1, () => {
    const parts = createSharedParts(repository.store.capabilities.partSize);
    return async (piece) => {
      const didAnswer = await readPiece(repository, piece, parts, lanes.signal, options);
      lanes.answered(didAnswer);
      piece.finish(didAnswer);
    };
  });
  return !lanes.isSilent;
}

async function* pieces(
  repository: Repository,
  backups: readonly CheckedBackup[],
  signal: AbortSignal,
  options: ReadPacksOptions,
): AsyncGenerator<Piece> {
  const parts = createSharedParts(smallPart);
  for (const backup of backups) {
    const { record } = backup;
    try {
      const geometry = await findGeometry(repository, backup, parts, signal, options);
      yield* piecesOf(repository, backup, geometry, signal, options);
    } catch (error) {
      // It was whole a moment ago: the store went away, or somebody deleted the backup.
      if (isPgarkError(error, "not-found") && (await isGone(repository, record, { signal }))) continue;
      const key = manifestKey(repository.cluster, record.identity, record.label, record.encrypted);
      options.findings.error(error, key, [backupPart(record.label)]);
    }
  }
}

async function* piecesOf(
  repository: Repository,
  backup: CheckedBackup,
  geometry: PageGeometry,
  signal: AbortSignal,
  options: ReadPacksOptions,
): AsyncGenerator<Piece> {
  const { record, controlPack } = backup;
  const folder = backupFolder(repository.cluster, record.identity, record.label);
  const done = options.done(record.label);
  const order = new InOrder(done, (count) => options.onDone(record.label, count));
  let index = 0;
  for await (const group of groupsOf(repository, record, signal)) {
    const at = index++;
    if (at < done) continue;
    const isWanted = isPackChosen(options.sample, folder, group.pack, controlPack);
    if (!isWanted || backup.faultyPacks.has(group.pack.name)) order.finish(at, true);
    else yield { ...group, backup, geometry, finish: (isKnown) => order.finish(at, isKnown) };
  }
}

async function* groupsOf(repository: Repository, record: BackupRecord, signal: AbortSignal): AsyncGenerator<PackGroup> {
  const grouper = new PackGrouper();
  for await (const lines of readManifest(repository, record, { signal })) {
    for (const line of lines) {
      const group = grouper.add(line);
      if (group !== undefined) yield group;
    }
  }
}

/** Of a backup's control file, which is one of the last; what is wrong with its pack is told when that is read in its turn. */
async function findGeometry(
  repository: Repository,
  { record, controlPack, faultyPacks }: CheckedBackup,
  parts: SharedParts,
  signal: AbortSignal,
  options: ReadPacksOptions,
): Promise<PageGeometry> {
  if (!record.dataChecksums) return usualGeometry;
  for await (const group of groupsOf(repository, record, signal)) {
    if (group.pack.pack !== controlPack || faultyPacks.has(group.pack.name)) continue;
    try {
      const files = group.files.filter(({ path }) => path === tellingFiles.control);
      const apart = { ...options, counters: Counters.create() };
      const { contents } = await readPack(repository, record, { ...group, files }, undefined, parts, signal, apart);
      return parseControlFile(contents[0]?.content ?? new Uint8Array());
    } catch (error) {
      if (!isPgarkError(error) || error.code === "aborted") throw error;
      return usualGeometry;
    }
  }
  return usualGeometry;
}

/** Resolves with whether the store answered. */
async function readPiece(
  repository: Repository,
  piece: Piece,
  parts: SharedParts,
  signal: AbortSignal,
  options: ReadPacksOptions,
): Promise<boolean> {
  const { findings } = options;
  const { record } = piece.backup;
  const key = `${backupFolder(repository.cluster, record.identity, record.label)}${piece.pack.name}`;
  const before = findings.unknownCount;
  try {
    const checked = await readPack(repository, record, piece, piece.geometry, parts, signal, options);
    options.onRead(piece.pack.size);
    tellFaults(checked.faults, key, record, findings);
    tellContents(checked.contents, key, record, findings);
    return true;
  } catch (error) {
    if (isPgarkError(error, "not-found") && (await isGone(repository, record, { signal }))) return true;
    findings.error(error, key, [backupPart(record.label)], "restore from another backup; take a new one now");
    return findings.unknownCount === before;
  }
}

function readPack(
  repository: Repository,
  record: BackupRecord,
  group: PackGroup,
  geometry: PageGeometry | undefined,
  parts: SharedParts,
  signal: AbortSignal,
  { pool, counters }: ReadPacksOptions,
): Promise<CheckedPack> {
  const { store, secretKeys } = repository;
  const { name, size, sha256 } = group.pack;
  const key = `${backupFolder(repository.cluster, record.identity, record.label)}${name}`;
  const files = filesToCheck(group, geometry ?? usualGeometry);
  const pages = geometry === undefined ? undefined : pageCheck(record, geometry);
  const object = { store, key, size, encrypted: record.encrypted, secretKeys, parts, signal };
  return receiveObject(object, ({ header, key: payloadKey }, released) => {
    const storedSize = size - header.length;
    return pool.run(
      "checkPack",
      { header, key: payloadKey, sha256, storedSize, files, pages, parts, counters },
      released,
    );
  });
}

/** A remote backup does not know which pages were bad, only that some were. */
function pageCheck(record: BackupRecord, { blockSize }: PageGeometry): PageCheck | undefined {
  if (!record.dataChecksums) return undefined;
  if (record.method === "local") return { blockSize, tornFrom: undefined };
  return record.badPages > 0 ? undefined : { blockSize, tornFrom: record.startLsn };
}
