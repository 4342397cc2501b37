import { mkdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { testIo } from "../cli/test-io.ts";
import type { CommandRun } from "../../src/cli/command.ts";
import { planPrune } from "../../src/cli/prune-life.ts";
import type { PrunePlan } from "../../src/cli/prune-life.ts";
import { loadRetainedLife } from "../../src/cli/retained-life.ts";
import { PgarkError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import { formatTimelineHistory, timelineId } from "../../src/postgres/timeline.ts";
import { segmentFileName } from "../../src/postgres/wal-file-name.ts";
import type { BackupRecord } from "../../src/repository/backup-record.ts";
import { encodeBackupRecord } from "../../src/repository/backup-record-json.ts";
import { encodeBegunRecord } from "../../src/repository/begun-record.ts";
import type { WalFrom } from "../../src/repository/begun-record.ts";
import { initRepository } from "../../src/repository/init-repository.ts";
import { backupFolder, backupLabel, backupRecordKey, begunKey, walKey } from "../../src/repository/layout.ts";
import { takeLease } from "../../src/repository/lease.ts";
import type { LeaseOptions } from "../../src/repository/lease.ts";
import { addPin } from "../../src/repository/pins.ts";
import { openRepository } from "../../src/repository/repository.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { storeWal } from "../../src/repository/wal-object.ts";
import { applyDeletion } from "../../src/retention/apply-deletion.ts";
import type { Applied, Deletion } from "../../src/retention/apply-deletion.ts";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import type { SignalOption } from "../../src/storage/object-store.ts";
import { throwUndeleted } from "../../src/storage/undeleted.ts";
import { backupRecord, identity } from "../repository/backup-fixture.ts";
import { at, MIB } from "../restore/archive-builder.ts";

export const segmentSize = MIB;
export const graceMs = 24 * 3600_000;
const begin = Date.UTC(2026, 10, 1);
/** A segment is filled in an hour. */
const hour = 3600_000;

/** A store whose user can be killed in the middle of a deletion, and that may hold on to objects. */
export class MortalStore extends MemoryStore {
  /** the deletion, counted from 1, at which the process dies when half of it is done */
  dieAt = Infinity;
  deletions = 0;
  /** what is not deleted, whoever asks */
  isLocked: (key: string) => boolean = () => false;
  /** before each deletion */
  beforeDelete: (keys: readonly string[]) => void | Promise<void> = () => undefined;

  override async delete(keys: readonly string[], options: SignalOption = {}): Promise<void> {
    this.checkAlive();
    await this.beforeDelete(keys);
    if (++this.deletions === this.dieAt) {
      await super.delete(keys.slice(0, Math.ceil(keys.length / 2)), options);
      this.checkAlive();
    }
    const locked = keys.filter((key) => this.isLocked(key));
    await super.delete(
      keys.filter((key) => !this.isLocked(key)),
      options,
    );
    const refusal = (key: string): PgarkError =>
      new PgarkError("denied", "it is locked", { operation: "delete object", object: key });
    throwUndeleted(new Map(locked.map((key) => [key, refusal(key)])));
  }

  override async put(...args: Parameters<MemoryStore["put"]>): Promise<void> {
    this.checkAlive();
    await super.put(...args);
  }

  override async *list(...args: Parameters<MemoryStore["list"]>): ReturnType<MemoryStore["list"]> {
    this.checkAlive();
    yield* super.list(...args);
  }

  revive(): void {
    this.dieAt = Infinity;
    this.deletions = 0;
  }

  private checkAlive(): void {
    if (this.deletions >= this.dieAt) throw new Error("the process is dead");
  }
}

export interface NewBackup {
  /** in segments, with fractions */
  readonly start: number;
  readonly stop: number;
  readonly timeline?: number;
}

/** A repository in memory with backups and WAL that prune can be let loose on. */
export class PrunableRepository {
  readonly store: MortalStore;
  readonly repository: Repository;
  readonly #clock: { now: Date };

  private constructor(store: MortalStore, repository: Repository, clock: { now: Date }) {
    this.store = store;
    this.repository = repository;
    this.#clock = clock;
  }

  static async create(): Promise<PrunableRepository> {
    const clock = { now: new Date(begin) };
    const store = new MortalStore(() => clock.now);
    const keys = { recipients: [], hostRecipients: [] };
    await initRepository({ store, cluster: "main", identity, walSegmentSize: segmentSize, ...keys, now: clock.now });
    const repository = await openRepository({ store, cluster: "main", identities: [], recipients: [] });
    return new PrunableRepository(store, repository, clock);
  }

  /** by the store's clock */
  get now(): Date {
    return this.#clock.now;
  }

  /** Turns the store's clock to when WAL reaches a position, or by some milliseconds. */
  passTime(milliseconds: number): void {
    this.#clock.now = new Date(this.#clock.now.getTime() + milliseconds);
  }

  timeOf(position: number): Date {
    return new Date(begin + position * hour + 7);
  }

  async archive(timeline: number, first: number, last: number): Promise<void> {
    for (let segment = first; segment <= last; segment++) {
      this.#clock.now = this.timeOf(segment + 1);
      const name = segmentFileName(timelineId(timeline), BigInt(segment), segmentSize);
      await this.#put(walKey("main", identity, name, false));
    }
  }

  /** Timeline `timeline` begins where it leaves `parents`, oldest first. */
  async branch(timeline: number, parents: readonly (readonly [timeline: number, position: number])[]): Promise<void> {
    const history = {
      timeline: timelineId(timeline),
      ancestors: parents.map(([parent, position]) => ({
        timeline: timelineId(parent),
        switchPoint: at(position, segmentSize),
        reason: "",
      })),
    };
    const name = `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`;
    const plain = Buffer.from(formatTimelineHistory(history));
    await storeWal(this.repository, { identity, name, plain, level: 1, host: "db1", now: this.now });
  }

  /** A complete backup; its label. */
  async backup({ start, stop, timeline = 1 }: NewBackup): Promise<string> {
    const startTime = this.timeOf(start);
    const label = await this.begin(startTime, { timeline: timelineId(timeline), lsn: at(start, segmentSize) });
    this.#clock.now = this.timeOf(stop);
    const folder = backupFolder("main", identity, label);
    for (const name of ["data/000000.tar.zst", "data/000001.tar.zst", "manifest.jsonl.zst"]) {
      await this.#put(`${folder}${name}`, 100);
    }
    const record = backupRecord(label, {
      timeline: timelineId(timeline),
      startLsn: at(start, segmentSize),
      stopLsn: at(stop, segmentSize),
      startTime,
      stopTime: this.now,
      walSegmentSize: segmentSize,
      packs: 2,
      storedBytes: 300,
    });
    await this.complete(record);
    return label;
  }

  /** The marker of a backup, with one pack. */
  async begin(begun: Date, walFrom: WalFrom | undefined): Promise<string> {
    this.#clock.now = begun;
    const label = backupLabel(begun, 0);
    const marker = encodeBegunRecord({ label, host: "db1", begun, walFrom });
    await this.store.put(begunKey("main", identity, label), marker, { ifAbsent: true });
    await this.#put(`${backupFolder("main", identity, label)}data/first.tar.zst`, 100);
    return label;
  }

  async complete(record: BackupRecord): Promise<void> {
    const key = backupRecordKey("main", identity, record.label);
    await this.store.put(key, encodeBackupRecord(record), { ifAbsent: true });
  }

  async pin(label: string, until?: Date): Promise<void> {
    const pin = { label, until, reason: "", pinned: this.now, host: "db1" };
    await addPin(this.repository, identity, pin, {});
  }

  async plan(policy: RetentionPolicy): Promise<PrunePlan> {
    const life = await loadRetainedLife(run, this.repository, identity);
    return planPrune(run, this.repository, life, { policy, graceMs, now: this.now });
  }

  /** As `pgark prune --confirm`. */
  async prune(policy: RetentionPolicy): Promise<Applied> {
    return this.apply(async () => (await this.plan(policy)).deletion);
  }

  get leaseOptions(): LeaseOptions {
    const now = (): Date => this.now;
    return { store: this.store, cluster: "main", host: "db1", purpose: "prune", now, log: silentLog };
  }

  /** Deletes, under the lease, what `decide` says once that is held. */
  async apply(decide: () => Promise<Deletion>): Promise<Applied> {
    const lease = await takeLease(this.leaseOptions);
    try {
      const deletion = await decide();
      const options = { lease, graceMs, storeNow: () => this.now, onProgress: () => undefined, log: silentLog };
      return await applyDeletion(this.repository, deletion, options);
    } finally {
      await lease.release();
    }
  }

  async keys(prefix = "main/"): Promise<readonly string[]> {
    const found: string[] = [];
    for await (const { key } of this.store.list(prefix)) found.push(key);
    return found;
  }

  async labels(): Promise<readonly string[]> {
    return (await loadRetainedLife(run, this.repository, identity)).catalog.backups.map(({ label }) => label);
  }

  /** A copy, to be spoilt. */
  async copy(): Promise<PrunableRepository> {
    const clock = { now: this.now };
    const store = new MortalStore(() => clock.now);
    for await (const { key, modified } of this.store.list("")) {
      clock.now = modified;
      await store.put(key, await this.store.get(key), { ifAbsent: true });
    }
    clock.now = this.now;
    const repository = await openRepository({ store, cluster: "main", identities: [], recipients: [] });
    return new PrunableRepository(store, repository, clock);
  }

  /** Leaves it as a repository of files, with the times that the objects have. */
  async writeTo(directory: string): Promise<void> {
    for await (const { key, modified } of this.store.list("")) {
      const file = join(directory, key);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, await this.store.get(key));
      await utimes(file, modified, modified);
    }
  }

  async #put(key: string, size = 1): Promise<void> {
    await this.store.put(key, new Uint8Array(size), { ifAbsent: true });
  }
}

/** Of a command's run, what planning uses. */
export const run = { io: testIo(), log: silentLog } as unknown as CommandRun;
