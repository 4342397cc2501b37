import { isPgarkError } from "../errors.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import { backupFolder, backupRecordKey, manifestKey, packName } from "../repository/layout.ts";
import type { ManifestLine, PackLine } from "../repository/manifest.ts";
import { readManifest } from "../repository/manifest-reader.ts";
import { readRecord } from "../repository/records.ts";
import type { Repository } from "../repository/repository.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { backupPart } from "./fault.ts";
import type { Findings } from "./fault.ts";
import { foreign } from "./load-life.ts";
import { isChosen } from "./sample.ts";
import type { Sample } from "./sample.ts";

const takeAnother = "restore from another backup if need be, and take a new one now";

/** What reading the packs needs to know of a backup whose manifest was read. */
export interface CheckedBackup {
  readonly record: BackupRecord;
  /** the number of the pack with `global/pg_control` */
  readonly controlPack: number | undefined;
  /** names of packs that are not there, or have another size: nothing more is to be learnt from them */
  readonly faultyPacks: ReadonlySet<string>;
  /** how many of the others belong to the sample, and their bytes as stored */
  readonly chosenPacks: number;
  readonly chosenBytes: number;
}

export interface CheckBackupOptions extends SignalOption {
  readonly walSegmentSize: number;
  readonly sample: Sample | undefined;
}

/**
 * Holds what lies in a backup's folder against its manifest, and the manifest against the record. Undefined when the manifest
 * cannot be read, or the backup was deleted meanwhile.
 */
export async function checkBackup(
  repository: Repository,
  record: BackupRecord,
  found: Findings,
  options: CheckBackupOptions,
): Promise<CheckedBackup | undefined> {
  const check = new BackupCheck(repository, record, options);
  checkRecord(check, repository.encrypted, options.walSegmentSize);
  const result = await check.run();
  // Whoever deletes a backup takes the record away first: what is missing then is no fault.
  if (check.findings.length > 0 && (await isGone(repository, record, options))) return undefined;
  for (const tell of check.findings) tell(found);
  return result;
}

/** The pack with the control file is always read: it says how large pages are, and it is small. */
export function isPackChosen(
  sample: Sample | undefined,
  folder: string,
  { pack, name }: PackLine,
  controlPack: number | undefined,
): boolean {
  return pack === controlPack || isChosen(sample, `${folder}${name}`);
}

export async function isGone(repository: Repository, record: BackupRecord, options: SignalOption): Promise<boolean> {
  try {
    await repository.store.head(backupRecordKey(repository.cluster, record.identity, record.label), options);
    return false;
  } catch (error) {
    return isPgarkError(error, "not-found");
  }
}

function checkRecord(check: BackupCheck, encrypted: boolean, walSegmentSize: number): void {
  const { record } = check;
  if (record.encrypted !== encrypted) {
    check.contradiction(`it says encrypted: ${String(record.encrypted)}, and the cluster's record says otherwise`);
  }
  if (record.walSegmentSize !== walSegmentSize) {
    check.contradiction(
      `it says WAL segments of ${record.walSegmentSize} bytes, and the record of this life says ${walSegmentSize}`,
    );
  }
  if (record.stopLsn < record.startLsn) check.contradiction("it says that the backup ended before it began");
}

class BackupCheck {
  readonly record: BackupRecord;
  readonly findings: ((findings: Findings) => void)[] = [];
  readonly #repository: Repository;
  readonly #options: CheckBackupOptions;
  readonly #folder: string;
  readonly #faulty = new Set<string>();
  readonly #packs = new Map<string, PackLine>();
  readonly #tablespaces = new Set<number>();
  #controlPack: number | undefined;
  #hasLabel = false;
  #files = 0;
  #bytes = 0;
  #badPages = 0;

  constructor(repository: Repository, record: BackupRecord, options: CheckBackupOptions) {
    this.record = record;
    this.#repository = repository;
    this.#options = options;
    this.#folder = backupFolder(repository.cluster, record.identity, record.label);
  }

  contradiction(problem: string): void {
    this.#fault(
      "contradiction",
      "backup.json",
      problem,
      "compare it with the manifest, or with a copy of the repository",
    );
  }

  async run(): Promise<CheckedBackup | undefined> {
    const there = await this.#listFolder();
    if (there === undefined || !(await this.#readManifest(there))) return undefined;
    this.#comparePacks(there);
    this.#compareTotals();
    const chosen = [...this.#packs.values()].filter(
      (pack) =>
        !this.#faulty.has(pack.name) && isPackChosen(this.#options.sample, this.#folder, pack, this.#controlPack),
    );
    return {
      record: this.record,
      controlPack: this.#controlPack,
      faultyPacks: this.#faulty,
      chosenPacks: chosen.length,
      chosenBytes: chosen.reduce((sum, { size }) => sum + size, 0),
    };
  }

  async #listFolder(): Promise<Map<string, number> | undefined> {
    try {
      return await this.#list();
    } catch (error) {
      this.findings.push((findings) => findings.error(error, this.#folder, [backupPart(this.record.label)]));
      return undefined;
    }
  }

  /** Size of each object in the folder, by its name within it. */
  async #list(): Promise<Map<string, number>> {
    const there = new Map<string, number>();
    for await (const { key, size } of this.#repository.store.list(this.#folder, this.#options)) {
      const name = key.slice(this.#folder.length);
      if (/^pins\/\d+\.json$/.test(name)) await this.#readRecord(key);
      else if (!/^(backup|begun)\.json$|^alive\//.test(name)) there.set(name, size);
    }
    return there;
  }

  /** Nothing is lost with a pin, but `prune` goes no further when it cannot read one. */
  async #readRecord(key: string): Promise<void> {
    try {
      await readRecord(this.#repository.store, key, this.#options);
    } catch (error) {
      if (isPgarkError(error, "not-found")) return; // taken away just now
      this.findings.push((findings) => findings.error(error, key, []));
    }
  }

  /** Takes the manifest off the list; false when there is nothing to go by. */
  async #readManifest(there: Map<string, number>): Promise<boolean> {
    const { record } = this;
    const key = manifestKey(this.#repository.cluster, record.identity, record.label, this.#repository.encrypted);
    const name = key.slice(this.#folder.length);
    const size = there.get(name);
    there.delete(name);
    if (size === undefined) {
      this.#fault("missing", name, "the manifest is not there, and the backup is listed as complete", takeAnother);
      return false;
    }
    if (size !== record.manifest.size) {
      const problem = `the manifest has ${size} bytes, and backup.json says ${record.manifest.size}`;
      this.#fault("wrong-size", name, problem, takeAnother);
      return false;
    }
    try {
      for await (const lines of readManifest(this.#repository, record, this.#options)) lines.forEach(this.#take);
      return true;
    } catch (error) {
      const hint = isPgarkError(error) ? error.hint : undefined;
      this.findings.push((findings) => findings.error(error, key, [backupPart(record.label)], hint));
      return false;
    }
  }

  readonly #take = (line: ManifestLine): void => {
    if (line.type === "pack") {
      const expected = packName(line.pack, this.record.encrypted);
      if (line.name !== expected || this.#packs.has(line.name)) {
        this.contradiction(`its manifest lists pack ${line.pack} as ${line.name}`);
      }
      this.#packs.set(line.name, line);
    } else if (line.type === "tablespace") this.#tablespaces.add(line.oid);
    else if (line.type === "file") {
      this.#files++;
      this.#bytes += line.size;
      this.#badPages += line.badPages?.length ?? 0;
      if (line.path === "global/pg_control") this.#controlPack = line.extents[0]?.pack;
      if (line.path === "backup_label") this.#hasLabel = true;
    }
  };

  #comparePacks(there: ReadonlyMap<string, number>): void {
    for (const { name, size } of this.#packs.values()) {
      const found = there.get(name);
      if (found === size) continue;
      this.#faulty.add(name);
      if (found === undefined) {
        this.#fault("missing", name, "the pack is not there, and the backup is listed as complete", takeAnother);
      } else {
        this.#fault("wrong-size", name, `the pack has ${found} bytes, and the manifest says ${size}`, takeAnother);
      }
    }
    for (const name of there.keys()) {
      if (!this.#packs.has(name)) this.findings.push((findings) => foreign(findings, `${this.#folder}${name}`));
    }
  }

  /** The record and the manifest were made from the same counts. */
  #compareTotals(): void {
    const { record } = this;
    const packed = [...this.#packs.values()].reduce((sum, { size }) => sum + size, 0);
    const pairs: readonly (readonly [string, number, number])[] = [
      ["files", record.files, this.#files],
      ["bytes", record.bytes, this.#bytes],
      ["packs", record.packs, this.#packs.size],
      ["storedBytes", record.storedBytes, packed + record.manifest.size],
      // A remote backup only knows that there were some.
      ["badPages", record.badPages, record.method === "remote" ? record.badPages : this.#badPages],
    ];
    for (const [field, said, counted] of pairs) {
      if (said !== counted) this.contradiction(`it says ${field}: ${said}, and its manifest comes to ${counted}`);
    }
    const linked = record.tablespaces.filter(({ location }) => location !== undefined);
    if (linked.length !== this.#tablespaces.size || linked.some(({ oid }) => !this.#tablespaces.has(oid))) {
      this.contradiction("it names other tablespaces than its manifest");
    }
    if (this.#controlPack === undefined || !this.#hasLabel) {
      this.contradiction("its manifest lists no global/pg_control, or no backup_label: no server would start on it");
    }
  }

  #fault(kind: "missing" | "wrong-size" | "contradiction", name: string, problem: string, hint: string): void {
    const object = `${this.#folder}${name}`;
    const costs = [backupPart(this.record.label)];
    this.findings.push((findings) => findings.fault({ kind, object, problem, hint, costs }));
  }
}
