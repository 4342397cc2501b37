import { formatLsn } from "../postgres/lsn.ts";
import { timelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "./backup-record.ts";
import type { FieldReader, JsonRecord } from "./records.ts";
import { decodeRecord, encodeRecord } from "./records.ts";

/** The fields of `backup.json`, also what `--json` prints of a backup. */
export function backupRecordFields(record: BackupRecord): JsonRecord {
  return {
    label: record.label,
    type: record.type,
    majorVersion: record.identity.majorVersion,
    systemIdentifier: record.identity.systemIdentifier.toString(),
    timeline: record.timeline,
    startLsn: formatLsn(record.startLsn),
    stopLsn: formatLsn(record.stopLsn),
    startTime: record.startTime.toISOString(),
    stopTime: record.stopTime.toISOString(),
    walSegmentSize: record.walSegmentSize,
    source: record.source,
    method: record.method,
    serverVersion: record.serverVersion,
    dataChecksums: record.dataChecksums,
    encrypted: record.encrypted,
    tablespaces: record.tablespaces.map(({ oid, location }) => ({ oid, location: location ?? null })),
    files: record.files,
    bytes: record.bytes,
    storedBytes: record.storedBytes,
    packs: record.packs,
    badPages: record.badPages,
    manifest: record.manifest,
    host: record.host,
    pgark: record.pgark,
  };
}

export function encodeBackupRecord(record: BackupRecord): Uint8Array {
  return encodeRecord({ kind: "pgark backup", ...backupRecordFields(record) });
}

/** Reads `backup.json`; throws `corrupt` or `newer-format`. */
export function decodeBackupRecord(key: string, bytes: Uint8Array): BackupRecord {
  const fields = decodeRecord(key, bytes);
  const manifest = fields.record("manifest");
  return {
    label: fields.string("label"),
    type: fields.oneOf("type", "full"),
    identity: {
      majorVersion: fields.number("majorVersion"),
      systemIdentifier: fields.bigint("systemIdentifier"),
    },
    timeline: timelineId(fields.number("timeline")),
    startLsn: fields.lsn("startLsn"),
    stopLsn: fields.lsn("stopLsn"),
    startTime: fields.date("startTime"),
    stopTime: fields.date("stopTime"),
    walSegmentSize: fields.number("walSegmentSize"),
    source: fields.oneOf("source", "primary", "standby"),
    method: fields.oneOf("method", "local", "remote"),
    serverVersion: fields.string("serverVersion"),
    dataChecksums: fields.boolean("dataChecksums"),
    encrypted: fields.boolean("encrypted"),
    tablespaces: fields.records("tablespaces").map(readTablespace),
    files: fields.number("files"),
    bytes: fields.number("bytes"),
    storedBytes: fields.number("storedBytes"),
    packs: fields.number("packs"),
    badPages: fields.number("badPages"),
    manifest: { sha256: manifest.string("sha256"), size: manifest.number("size") },
    host: fields.string("host"),
    pgark: fields.string("pgark"),
  };
}

function readTablespace(fields: FieldReader): BackupRecord["tablespaces"][number] {
  return { oid: fields.number("oid"), location: fields.has("location") ? fields.string("location") : undefined };
}
