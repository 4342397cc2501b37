import type { ClusterIdentity } from "../../src/postgres/cluster-identity.ts";
import { lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { BackupRecord } from "../../src/repository/backup-record.ts";
import { initRepository } from "../../src/repository/init-repository.ts";
import type { KeyPair } from "../../src/repository/keys.ts";
import { openRepository } from "../../src/repository/repository.ts";
import type { Repository } from "../../src/repository/repository.ts";
import type { StoredObject } from "../../src/repository/upload-sink.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";

export const identity: ClusterIdentity = { majorVersion: 17, systemIdentifier: 7_400_000_000_000_000_001n };
export const walSegmentSize = 16 * 1024 * 1024;
export const moment = new Date("2026-11-20T10:00:00.000Z");

export interface Keys {
  readonly owner: KeyPair;
  readonly host: KeyPair;
}

/** A repository in memory with one cluster, "main"; encrypted when there are keys, and opened with the owner's. */
export async function newRepository(keys?: Keys): Promise<Repository> {
  const store = new MemoryStore(() => moment);
  await initRepository({
    store,
    cluster: "main",
    identity,
    walSegmentSize,
    recipients: keys === undefined ? [] : [keys.owner.recipient],
    hostRecipients: keys === undefined ? [] : [keys.host.recipient],
    now: moment,
  });
  return reopen(store, keys === undefined ? [] : [keys.owner.identity]);
}

export function reopen(store: ObjectStore, identities: readonly string[]): Promise<Repository> {
  return openRepository({ store, cluster: "main", identities, recipients: [] });
}

export function backupRecord(label: string, changes: Partial<BackupRecord> = {}): BackupRecord {
  return {
    label,
    type: "full",
    identity,
    timeline: timelineId(1),
    startLsn: lsn(0x3000028n),
    stopLsn: lsn(0x3000158n),
    startTime: moment,
    stopTime: new Date(moment.getTime() + 1000),
    walSegmentSize,
    source: "primary",
    method: "local",
    serverVersion: "17.10",
    dataChecksums: true,
    encrypted: false,
    tablespaces: [
      { oid: 16_384, location: "/srv/fast" },
      { oid: 16_385, location: undefined },
    ],
    files: 3,
    bytes: 100,
    storedBytes: 50,
    packs: 1,
    badPages: 0,
    manifest: { sha256: "0".repeat(64), size: 1 },
    host: "db1",
    pgark: "0.1.0",
    ...changes,
  };
}

/** The record of a backup whose manifest was just written. */
export function recordOf(repository: Repository, label: string, manifest: StoredObject): BackupRecord {
  return backupRecord(label, { manifest, encrypted: repository.encrypted });
}
