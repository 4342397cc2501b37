import { mapConcurrently } from "../concurrency.ts";
import type { OnProgress } from "../log.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import { formatTimeline } from "../postgres/timeline.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import type { Catalog } from "../repository/catalog.ts";
import { walKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import { Counters } from "../repository/worker/pack-tasks.ts";
import type { WorkerPool } from "../repository/worker/worker-pool.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { checkBackup } from "./check-backup.ts";
import type { CheckedBackup } from "./check-backup.ts";
import { checkBackupHistory } from "./check-backup-history.ts";
import { checkHistories } from "./check-histories.ts";
import type { HistoryFault } from "./check-histories.ts";
import { Findings, historyPart } from "./fault.ts";
import { findForeignInLife } from "./find-foreign.ts";
import { historyHint, loadLife } from "./load-life.ts";
import type { KnownLife } from "./load-life.ts";
import { canReadData } from "./prove-keys.ts";
import { readPacks } from "./read-packs.ts";
import { readWal } from "./read-wal.ts";
import { isChosen } from "./sample.ts";
import type { Sample } from "./sample.ts";
import type { LifeProgress, VerifyState } from "./verify-state.ts";

/** Backups looked at side by side, and small objects read. */
const concurrency = 8;

const pushAgain =
  "if the server or a standby still has it in pg_wal, push it; else take a backup now, and pgark acknowledge-hole if it is lost for good";

/** Segments `first` to `last` (segment numbers, both included) of one timeline. */
export interface MissingWal {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
}

export interface VerifyLifeOptions extends SignalOption {
  /** what of the content is to be read; undefined reads none */
  readonly read:
    { readonly pool: WorkerPool; readonly sample: Sample | undefined; readonly state: VerifyState } | undefined;
  /** which WAL should be there and is not; what is known to be missing left out */
  readonly findHoles: (catalog: Catalog) => Promise<readonly MissingWal[]>;
  readonly onProgress: OnProgress;
}

/** What was found in one life of a cluster. */
export interface LifeReport {
  readonly identity: ClusterIdentity;
  readonly findings: Findings;
  /** all that could be read, whether it can be relied on or not; the findings say what of it cannot */
  readonly catalog: Catalog;
  readonly holes: readonly MissingWal[];
  readonly unfinished: readonly string[];
  readonly segments: number;
  readonly packsRead: number;
  readonly segmentsRead: number;
  readonly bytesRead: number;
}

/** Proves one life of a cluster. Faults are what it is for, and never stop it. */
export async function verifyLife(
  repository: Repository,
  identity: ClusterIdentity,
  options: VerifyLifeOptions,
): Promise<LifeReport> {
  const verify = new LifeVerification(repository, identity, options);
  return verify.run();
}

class LifeVerification {
  readonly #repository: Repository;
  readonly #identity: ClusterIdentity;
  readonly #options: VerifyLifeOptions;
  readonly #signal: SignalOption;
  readonly #findings = new Findings();
  /** listed, and not there when they were to be read */
  readonly #vanished: { readonly timeline: TimelineId; readonly segment: bigint }[] = [];
  readonly #emptyWal = new Set<string>();
  #segments = 0;
  #walBytes = 0;

  constructor(repository: Repository, identity: ClusterIdentity, options: VerifyLifeOptions) {
    this.#repository = repository;
    this.#identity = identity;
    this.#options = options;
    this.#signal = { signal: options.signal };
  }

  async run(): Promise<LifeReport> {
    const { read } = this.#options;
    const life = await this.#load();
    await findForeignInLife(this.#repository, this.#identity, this.#findings, this.#signal);
    const backups = await this.#checkBackups(life);
    if (await canReadData(this.#repository)) await this.#checkBackupHistories(life);
    const progress = read?.state.life(formatIdentity(this.#identity));
    if (read !== undefined && progress !== undefined) await this.#read(life, backups, progress);
    const { holes, histories } = await this.#whatIsMissing(life);
    this.#tellMissing(life.catalog, holes, histories);
    return {
      identity: this.#identity,
      findings: this.#findings,
      catalog: life.catalog,
      holes,
      unfinished: life.unfinished,
      segments: this.#segments,
      packsRead: progress?.packsRead ?? 0,
      segmentsRead: progress?.segmentsRead ?? 0,
      bytesRead: progress?.bytesRead ?? 0,
    };
  }

  async #load(): Promise<KnownLife> {
    return loadLife(this.#repository, this.#identity, this.#findings, {
      ...this.#signal,
      onWal: ({ key, size }, name) => {
        if (name.kind === "segment") this.#segments++;
        if (name.kind !== "segment" && name.kind !== "partial") return;
        if (size === 0) this.#emptyWal.add(key);
        else if (isChosen(this.#options.read?.sample, key)) this.#walBytes += size;
      },
    });
  }

  /** The oldest last: the newest is the one that is wanted first. */
  async #checkBackups(life: KnownLife): Promise<readonly CheckedBackup[]> {
    const records = life.catalog.backups.filter(({ label }) => life.sound.has(label)).toReversed();
    const totalBytes = records.reduce((sum, { manifest }) => sum + manifest.size, 0);
    let doneBytes = 0;
    let doneFiles = 0;
    const report = (): void => this.#options.onProgress({ phase: "manifests", doneBytes, totalBytes, doneFiles });
    report();
    const checked = await mapConcurrently(records, concurrency, async (record) => {
      const result = await checkBackup(this.#repository, record, this.#findings, {
        ...this.#signal,
        walSegmentSize: life.catalog.walSegmentSize,
        sample: this.#options.read?.sample,
      });
      doneBytes += record.manifest.size;
      doneFiles++;
      report();
      return result;
    });
    return checked.filter((backup) => backup !== undefined);
  }

  async #checkBackupHistories({ catalog, backupHistories }: KnownLife): Promise<void> {
    const records = new Map(catalog.backups.map((record) => [record.label, record]));
    await mapConcurrently(backupHistories, concurrency, (name) =>
      checkBackupHistory(this.#repository, this.#identity, name, records, this.#findings, this.#signal),
    );
  }

  async #read(life: KnownLife, backups: readonly CheckedBackup[], progress: LifeProgress): Promise<void> {
    const { read, onProgress, signal } = this.#options;
    if (read === undefined) return;
    const { pool, sample, state } = read;
    const findings = new Findings();
    progress.faults.forEach((fault) => findings.fault(fault));
    const counters = Counters.create();
    const done = new Counters(counters);
    const before = progress.bytesRead;
    const totalBytes = this.#walBytes + backups.reduce((sum, { chosenBytes }) => sum + chosenBytes, 0);
    const report = (): void => {
      progress.bytesRead = before + done.bytes;
      const doneFiles = progress.packsRead + progress.segmentsRead;
      onProgress({ phase: "read", doneBytes: progress.bytesRead, totalBytes, doneFiles });
    };
    const save = (): Promise<void> => {
      progress.faults = findings.faults;
      return state.saveSometimes();
    };
    const timer = setInterval(() => {
      report();
      // That it cannot be written is told when it is written last.
      save().catch(() => undefined);
    }, 250);
    report();
    try {
      const common = { pool, counters, sample, findings, signal };
      const isThere =
        (await readPacks(this.#repository, backups, {
          ...common,
          done: (label) => progress.packs.get(label) ?? 0,
          onDone: (label, packs) => void progress.packs.set(label, packs),
          onRead: () => void progress.packsRead++,
        })) &&
        (await readWal(this.#repository, life.catalog, {
          ...common,
          skip: this.#emptyWal,
          done: (timeline) => progress.wal.get(timeline),
          onDone: (timeline, segment) => void progress.wal.set(timeline, segment),
          onRead: () => void progress.segmentsRead++,
          onVanished: (timeline, segment) => void this.#vanished.push({ timeline, segment }),
        }));
      if (!isThere) {
        const problem = "the store stopped answering, so that the rest was not read";
        findings.couldNotTell({ object: this.#repository.store.url, problem });
      }
    } finally {
      clearInterval(timer);
      report();
      progress.faults = findings.faults;
      await state.save();
      this.#findings.addAll(findings);
    }
  }

  /**
   * What the lists do not show. While they were made somebody may have pruned, or archived segments side by side: only what a
   * second look does not find either is missing.
   */
  async #whatIsMissing(life: KnownLife): Promise<Missing> {
    const { holes, histories } = await this.#findMissing(life);
    if (holes.length + histories.length + this.#vanished.length === 0) return { holes, histories };
    const again = await loadLife(this.#repository, this.#identity, new Findings(), this.#signal);
    const now = await this.#findMissing(again);
    const vanished = this.#vanished.map(({ timeline, segment }) => ({ timeline, first: segment, last: segment }));
    return {
      holes: now.holes.filter((hole) => [...holes, ...vanished].some((seen) => overlap(seen, hole))),
      histories: now.histories.filter(({ kind, timeline }) =>
        histories.some((seen) => seen.kind === kind && seen.timeline === timeline),
      ),
    };
  }

  /** A history that cannot be right says nothing of which WAL is needed. */
  async #findMissing({ catalog, lostHistories }: KnownLife): Promise<Missing> {
    const histories = checkHistories(catalog, lostHistories);
    const doubtful = new Set(histories.flatMap((fault) => fault.doubtful));
    const reliable = new Map([...catalog.histories].filter(([timeline]) => !doubtful.has(timeline)));
    return { histories, holes: await this.#options.findHoles({ ...catalog, histories: reliable }) };
  }

  #tellMissing(catalog: Catalog, holes: readonly MissingWal[], histories: readonly HistoryFault[]): void {
    const { cluster, encrypted } = this.#repository;
    for (const { timeline, first, last } of holes) {
      const [from, to] = [first, last].map((segment) => segmentFileName(timeline, segment, catalog.walSegmentSize));
      const count = last - first + 1n;
      this.#findings.fault({
        kind: "missing",
        object: walKey(cluster, this.#identity, from ?? "", encrypted),
        problem:
          count === 1n ? "the segment is not in the archive" : `${count} segments are not in the archive, up to ${to}`,
        hint: pushAgain,
        costs: [{ kind: "segments", timeline, first, last }],
      });
    }
    for (const { kind, timeline, doubtful, problem } of histories) {
      const object = walKey(cluster, this.#identity, `${formatTimeline(timeline)}.history`, encrypted);
      this.#findings.fault({ kind, object, problem, hint: historyHint, costs: doubtful.map(historyPart) });
    }
  }
}

interface Missing {
  readonly holes: readonly MissingWal[];
  readonly histories: readonly HistoryFault[];
}

function overlap(a: MissingWal, b: MissingWal): boolean {
  return a.timeline === b.timeline && a.first <= b.last && b.first <= a.last;
}
