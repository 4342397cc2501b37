import { createReadStream } from "node:fs";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseIdentityFile } from "../../../src/repository/keys.ts";
import type { BackupRecord } from "../../../src/repository/backup-record.ts";
import { backupFolder, walFolder, walKey } from "../../../src/repository/layout.ts";
import { loadBackups } from "../../../src/repository/load-catalog.ts";
import { readManifest } from "../../../src/repository/manifest-reader.ts";
import { openRepository, type Repository } from "../../../src/repository/repository.ts";
import { loadWal } from "../../../src/repository/wal-object.ts";
import { lastSegmentNumberBefore, segmentFileName, segmentNumberOfLsn } from "../../../src/postgres/wal-file-name.ts";
import { FileStore } from "../../../src/storage/drivers/file/file-store.ts";
import { sha256Of } from "./archiving-cluster.ts";

/** Opens a file repository with all its keys, past the command line. */
export async function openAudited(root: string, identityFile: string | undefined): Promise<Repository> {
  const identities = identityFile === undefined ? [] : parseIdentityFile(await readFile(identityFile, "utf8"));
  return openRepository({ store: new FileStore(root, { create: true }), cluster: "main", identities, recipients: [] });
}

/** Name of each WAL file in the repository -> SHA-256 of its content. Rejects when one of them does not open. */
export async function openAllWal(repository: Repository): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const identity of await repository.identities()) {
    for await (const { key } of repository.store.list(walFolder(repository.cluster, identity))) {
      const name = key.slice(key.lastIndexOf("/") + 1).replace(/\.zst(\.age)?$/, "");
      found.set(name, sha256Of(await loadWal(repository, identity, name, {})));
    }
  }
  return found;
}

/** SHA-256 of the content of one WAL file in a repository that knows one life of its cluster. */
export async function openOneWal(repository: Repository, name: string): Promise<string> {
  const [identity] = await repository.identities();
  if (identity === undefined) return fail("the repository knows no life of the cluster");
  return sha256Of(await loadWal(repository, identity, name, {}));
}

/** Every listed backup, each proven complete: packs as long and with the digest that its manifest says, and its WAL there. */
export async function completeBackups(repository: Repository, known: ReadonlySet<string>): Promise<readonly string[]> {
  const labels: string[] = [];
  for (const identity of await repository.identities()) {
    const log = { debug() {}, info() {}, warn: (text: string) => fail(text) };
    for (const record of await loadBackups(repository, identity, { log })) {
      if (!known.has(record.label)) await proveComplete(repository, record);
      labels.push(record.label);
    }
  }
  return labels;
}

async function proveComplete(repository: Repository, record: BackupRecord): Promise<void> {
  const { cluster } = repository;
  let packs = 0;
  for await (const lines of readManifest(repository, record, {})) {
    for (const line of lines) {
      if (line.type !== "pack") continue;
      packs++;
      const key = `${backupFolder(cluster, record.identity, record.label)}${line.name}`;
      const { size } = await repository.store.head(key);
      if (size !== line.size || (await sha256OfFile(join(rootOf(repository), key))) !== line.sha256) {
        fail(`pack ${key} is not what the manifest says`);
      }
    }
  }
  if (packs !== record.packs) fail(`${record.label} has ${packs} packs in its manifest and says ${record.packs}`);
  const last = lastSegmentNumberBefore(record.stopLsn, record.walSegmentSize);
  for (let segment = segmentNumberOfLsn(record.startLsn, record.walSegmentSize); segment <= last; segment++) {
    const name = segmentFileName(record.timeline, segment, record.walSegmentSize);
    await repository.store.head(walKey(cluster, record.identity, name, repository.encrypted));
  }
}

function rootOf(repository: Repository): string {
  return repository.store.url.slice("file://".length);
}

async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

function fail(problem: string): never {
  throw new Error(problem);
}
