import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { backupLabel, verifyFolder } from "./layout.ts";
import { decodeRecord, encodeRecord } from "./records.ts";
import type { Repository } from "./repository.ts";

/** What a run of `pgark verify` found in one life of a cluster: `verify/<stamp>.json`, written once, when it has ended. */
export interface VerifyRecord {
  readonly begun: Date;
  readonly finished: Date;
  /** `listed`: existence and sizes; `read`: content, too */
  readonly depth: "listed" | "read";
  /** which part of the content was read, as it was asked for ("5%"); undefined for all of it */
  readonly sample: string | undefined;
  /** `unknown`: no fault was found, but of something could not be found out how it is */
  readonly result: "whole" | "faults" | "unknown";
  readonly faults: number;
  readonly unknown: number;
  /** the first few faults, for people */
  readonly examples: readonly VerifyExample[];
  /** complete backups */
  readonly backups: number;
  /** WAL segments that are there */
  readonly segments: number;
  /** what was read in full: packs, segments and their bytes as stored; 0 when nothing was */
  readonly packsRead: number;
  readonly segmentsRead: number;
  readonly bytesRead: number;
  /** who ran it: host name and version of pgark */
  readonly host: string;
  readonly pgark: string;
}

export interface VerifyExample {
  readonly kind: string;
  readonly object: string;
  readonly problem: string;
}

/** So many records are kept; writing one deletes older ones. */
const keptRecords = 10;

export function encodeVerifyRecord(record: VerifyRecord): Uint8Array {
  return encodeRecord({
    kind: "pgark verify",
    begun: record.begun.toISOString(),
    finished: record.finished.toISOString(),
    depth: record.depth,
    sample: record.sample ?? null,
    result: record.result,
    faults: record.faults,
    unknown: record.unknown,
    examples: record.examples,
    backups: record.backups,
    segments: record.segments,
    packsRead: record.packsRead,
    segmentsRead: record.segmentsRead,
    bytesRead: record.bytesRead,
    host: record.host,
    pgark: record.pgark,
  });
}

/** Throws `corrupt` or `newer-format`. */
export function decodeVerifyRecord(key: string, bytes: Uint8Array): VerifyRecord {
  const fields = decodeRecord(key, bytes);
  return {
    begun: fields.date("begun"),
    finished: fields.date("finished"),
    depth: fields.oneOf("depth", "listed", "read"),
    sample: fields.has("sample") ? fields.string("sample") : undefined,
    result: fields.oneOf("result", "whole", "faults", "unknown"),
    faults: fields.number("faults"),
    unknown: fields.number("unknown"),
    examples: fields.records("examples").map((example) => ({
      kind: example.string("kind"),
      object: example.string("object"),
      problem: example.string("problem"),
    })),
    backups: fields.number("backups"),
    segments: fields.number("segments"),
    packsRead: fields.number("packsRead"),
    segmentsRead: fields.number("segmentsRead"),
    bytesRead: fields.number("bytesRead"),
    host: fields.string("host"),
    pgark: fields.string("pgark"),
  };
}

/**
 * Writes the record under the moment it ended, and deletes all but the newest few. Resolves with its key. Two runs that end in
 * one second both get a key.
 */
export async function writeVerifyRecord(
  repository: Repository,
  identity: ClusterIdentity,
  record: VerifyRecord,
  options: SignalOption,
): Promise<string> {
  const folder = verifyFolder(repository.cluster, identity);
  const body = encodeVerifyRecord(record);
  const stamp = backupLabel(record.finished, 0);
  const taken = await findRecords(repository, identity, options);
  // Behind those of the same second, of which the first may be deleted already.
  const last = taken.findLast((each) => each.stamp === stamp)?.number ?? -1;
  for (let attempt = last + 1; ; attempt++) {
    const key = `${folder}${backupLabel(record.finished, attempt)}.json`;
    try {
      await repository.store.put(key, body, { ifAbsent: true, ...options });
    } catch (error) {
      if (!isPgarkError(error, "exists") || attempt > last + 100) throw error;
      continue;
    }
    const older = (await findRecords(repository, identity, options)).slice(0, -keptRecords);
    const keys = older.map((each) => each.key);
    if (keys.length > 0) await repository.store.delete(keys, options);
    return key;
  }
}

/**
 * The records of earlier runs, oldest first; those that cannot be read are left out, for they decide nothing.
 */
export async function loadVerifyRecords(
  repository: Repository,
  identity: ClusterIdentity,
  options: SignalOption,
): Promise<readonly VerifyRecord[]> {
  const records: VerifyRecord[] = [];
  for (const { key } of await findRecords(repository, identity, options)) {
    try {
      records.push(decodeVerifyRecord(key, await repository.store.get(key, options)));
    } catch (error) {
      if (!isPgarkError(error, "not-found", "corrupt", "newer-format")) throw error;
    }
  }
  return records.sort((a, b) => a.finished.getTime() - b.finished.getTime());
}

/** In the order of their ends: by their stamps, and of one second by the number behind that. */
async function findRecords(
  repository: Repository,
  identity: ClusterIdentity,
  options: SignalOption,
): Promise<readonly FoundRecord[]> {
  const folder = verifyFolder(repository.cluster, identity);
  const found: FoundRecord[] = [];
  for await (const { key } of repository.store.list(folder, options)) {
    const [, stamp, number] = namePattern.exec(key.slice(folder.length)) ?? [];
    if (stamp !== undefined) found.push({ key, stamp, number: Number(number ?? 0) });
  }
  return found.sort((a, b) => (a.stamp === b.stamp ? a.number - b.number : a.stamp < b.stamp ? -1 : 1));
}

interface FoundRecord {
  readonly key: string;
  readonly stamp: string;
  readonly number: number;
}

const namePattern = /^(\d{8}T\d{6}Z)(?:-(\d+))?\.json$/;

export function isVerifyRecordName(name: string): boolean {
  return namePattern.test(name);
}
