/**
 * Makes a file repository of any size by name: real records, histories and keys, and WAL objects whose content nobody reads
 * but whose names, sizes and times are right. Also `node bench/large-repository.ts DIRECTORY [backups] [segments]`.
 */
import { linkSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ClusterIdentity } from "../src/postgres/cluster-identity.ts";
import { formatLsn, lsn } from "../src/postgres/lsn.ts";
import { formatTimeline, timelineId } from "../src/postgres/timeline.ts";
import { segmentFileName } from "../src/postgres/wal-file-name.ts";
import type { BackupRecord } from "../src/repository/backup-record.ts";
import { encodeBackupRecord } from "../src/repository/backup-record-json.ts";
import { encodeClusterRecord, encodeIdentityRecord } from "../src/repository/cluster-record.ts";
import { sealObject } from "../src/repository/envelope/whole-object.ts";
import {
  backupFolder,
  backupLabel,
  backupRecordKey,
  clusterKey,
  identityKey,
  manifestKey,
  packName,
  walKey,
} from "../src/repository/layout.ts";
import { encodeRecord } from "../src/repository/records.ts";

export interface LargeShape {
  readonly backups: number;
  /** WAL segments of all timelines together */
  readonly segments: number;
  /** equal parts of the history, each a promotion after the one before */
  readonly timelines: number;
  /** segments that are missing, spread evenly */
  readonly holes: number;
  /** as prune leaves it: of segments before this many newest ones there are only those that backups need */
  readonly whole: number;
  /** when the last segment was archived */
  readonly end: Date;
}

export const largeShape: LargeShape = {
  backups: 10_000,
  segments: 2_000_000,
  timelines: 3,
  holes: 5,
  whole: Number.POSITIVE_INFINITY,
  end: new Date(),
};

export const largeCluster = "large";
export const largeIdentity: ClusterIdentity = { majorVersion: 17, systemIdentifier: 7_400_000_000_000_000_042n };

const segmentSize = 16 * 1024 * 1024;
/** a segment is archived every so often */
const segmentMs = 30_000;
const perLog = 256;

/** Writes the whole repository below `directory`, an absolute path. */
export async function makeLargeRepository(directory: string, shape: LargeShape): Promise<void> {
  const writer = new ObjectWriter(directory);
  const begin = new Date(shape.end.getTime() - shape.segments * segmentMs);
  writer.write(clusterKey(largeCluster), encodeClusterRecord(largeCluster, clusterRecord(begin)));
  writer.write(
    identityKey(largeCluster, largeIdentity),
    encodeIdentityRecord({ created: begin, identity: largeIdentity, walSegmentSize: segmentSize }),
  );
  const sealed = await seal(Buffer.from("the content of a segment, which nobody reads"), begin);
  for (let timeline = 1; timeline <= shape.timelines; timeline++) {
    writeTimeline(writer, shape, timeline, sealed);
    if (timeline > 1) await writeHistory(writer, shape, timeline);
  }
  for (let index = 0; index < shape.backups; index++) writeBackup(writer, shape, index);
}

/** The first segment that belongs to a timeline; segments are numbered from 1 through all of them. */
function firstSegment(shape: LargeShape, timeline: number): number {
  return 1 + Math.floor(((timeline - 1) * shape.segments) / shape.timelines);
}

function timelineOf(shape: LargeShape, segment: number): number {
  let timeline = 1;
  while (timeline < shape.timelines && firstSegment(shape, timeline + 1) <= segment) timeline++;
  return timeline;
}

/** When segment `number` was archived. */
function archivedAt(shape: LargeShape, number: number): Date {
  return new Date(shape.end.getTime() - (shape.segments - number) * segmentMs);
}

/** All segments of a log folder are one file with many names: they take the time and space of directories alone. */
function writeTimeline(writer: ObjectWriter, shape: LargeShape, timeline: number, sealed: Uint8Array): void {
  const last = firstSegment(shape, timeline + 1) - 1;
  const holeEvery = shape.holes === 0 ? Number.POSITIVE_INFINITY : Math.floor(shape.segments / (shape.holes + 1));
  let source: { readonly path: string; readonly log: number } | undefined;
  for (let number = firstSegment(shape, timeline); number <= last; number++) {
    if (number % holeEvery === 0 && number / holeEvery <= shape.holes) continue;
    if (number <= shape.segments - shape.whole && !isOfBackup(shape, number)) continue;
    const log = Math.floor(number / perLog);
    const key = walKey(largeCluster, largeIdentity, segmentName(timeline, number), false);
    if (source?.log === log) linkSync(source.path, writer.pathOf(key));
    else {
      source = { path: writer.write(key, sealed), log };
      const time = archivedAt(shape, Math.min(last, (log + 1) * perLog - 1));
      utimesSync(source.path, time, time);
    }
  }
}

/** The segment that a backup begins and ends in. */
function backupSegment(shape: LargeShape, index: number): number {
  return 1 + Math.floor((index * (shape.segments - 2)) / shape.backups);
}

function isOfBackup(shape: LargeShape, number: number): boolean {
  const index = Math.ceil(((number - 1) * shape.backups) / (shape.segments - 2));
  return backupSegment(shape, index) === number;
}

async function writeHistory(writer: ObjectWriter, shape: LargeShape, timeline: number): Promise<void> {
  const lines = Array.from({ length: timeline - 1 }, (_, index) => {
    const left = lsn(BigInt(firstSegment(shape, index + 2)) * BigInt(segmentSize));
    return `${index + 1}\t${formatLsn(left)}\tno recovery target specified\n`;
  });
  const name = `${formatTimeline(timelineId(timeline))}.history`;
  const sealed = await seal(Buffer.from(lines.join("")), archivedAt(shape, firstSegment(shape, timeline)));
  writer.write(walKey(largeCluster, largeIdentity, name, false), sealed);
}

function writeBackup(writer: ObjectWriter, shape: LargeShape, index: number): void {
  const number = backupSegment(shape, index);
  const startTime = archivedAt(shape, number);
  const label = backupLabel(startTime, 0);
  const folder = backupFolder(largeCluster, largeIdentity, label);
  const begun = { kind: "pgark backup begun", label, host: "db1", begun: startTime.toISOString() };
  writer.write(`${folder}begun.json`, encodeRecord(begun));
  writer.write(`${folder}${packName(0, false)}`, Buffer.from("a pack"));
  writer.write(manifestKey(largeCluster, largeIdentity, label, false), Buffer.from("a manifest"));
  const record = backupRecord(label, timelineOf(shape, number), number, startTime);
  writer.write(backupRecordKey(largeCluster, largeIdentity, label), encodeBackupRecord(record));
}

function backupRecord(label: string, timeline: number, segment: number, startTime: Date): BackupRecord {
  const start = BigInt(segment) * BigInt(segmentSize);
  return {
    label,
    type: "full",
    identity: largeIdentity,
    timeline: timelineId(timeline),
    startLsn: lsn(start + 0x28n),
    stopLsn: lsn(start + 0x158n),
    startTime,
    stopTime: new Date(startTime.getTime() + 10_000),
    walSegmentSize: segmentSize,
    source: "primary",
    method: "local",
    serverVersion: "17.10",
    dataChecksums: true,
    encrypted: false,
    tablespaces: [],
    files: 1000,
    bytes: 50 * 2 ** 30,
    storedBytes: 10 * 2 ** 30,
    packs: 1,
    badPages: 0,
    manifest: { sha256: "0".repeat(64), size: 10 },
    host: "db1",
    pgark: "0.1.0",
  };
}

function segmentName(timeline: number, number: number): string {
  return segmentFileName(timelineId(timeline), BigInt(number), segmentSize);
}

function clusterRecord(created: Date) {
  return { created, recipients: [], hostRecipients: [] };
}

function seal(plain: Uint8Array, now: Date): Promise<Uint8Array> {
  return sealObject(plain, { recipients: [], level: 1, writer: "db1", now });
}

/** Objects as the file store lays them out. Nothing is synced: nobody will miss it. */
class ObjectWriter {
  readonly #directory: string;
  readonly #made = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  pathOf(key: string): string {
    return join(this.#directory, key);
  }

  /** Gives back the path. */
  write(key: string, content: Uint8Array): string {
    const path = this.pathOf(key);
    const folder = dirname(path);
    if (!this.#made.has(folder)) mkdirSync(folder, { recursive: true });
    this.#made.add(folder);
    writeFileSync(path, content);
    return path;
  }
}

if (import.meta.main) {
  const [directory = "", backups = largeShape.backups, segments = largeShape.segments, whole = largeShape.whole] =
    process.argv.slice(2);
  const shape = { backups: Number(backups), segments: Number(segments), whole: Number(whole) };
  await makeLargeRepository(directory, { ...largeShape, ...shape });
}
