import { isPgarkError } from "../errors.ts";
import { segmentNumberOfLsn } from "../postgres/wal-file-name.ts";
import { decodeBegunRecord } from "../repository/begun-record.ts";
import type { Catalog } from "../repository/catalog.ts";
import { backupsFolder, begunKey, isBackupLabel } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import type { SignalOption } from "../storage/object-store.ts";

/**
 * Watches for backups that were begun after it was decided what may go. On a standby that lags behind, one begins in the past,
 * where the decision may have let WAL go.
 */
export class LateBackups {
  readonly #repository: Repository;
  readonly #life: Pick<Catalog, "identity" | "walSegmentSize">;
  readonly #known: ReadonlySet<string>;
  readonly #needs = new Map<string, bigint>();

  /** @param known labels of all backups that the decision knew of, complete or not */
  constructor(repository: Repository, life: Pick<Catalog, "identity" | "walSegmentSize">, known: ReadonlySet<string>) {
    this.#repository = repository;
    this.#life = life;
    this.#known = known;
  }

  /** The first segment number that such a backup may need, on whatever timeline; undefined when there is none. */
  async firstNeeded(options: SignalOption): Promise<bigint | undefined> {
    const { store, cluster } = this.#repository;
    const folder = backupsFolder(cluster, this.#life.identity);
    let first: bigint | undefined;
    for (const name of await store.listFolders(folder, options)) {
      const label = name.slice(folder.length, -1);
      if (this.#known.has(label) || !isBackupLabel(label)) continue;
      const need = this.#needs.get(label) ?? (await this.#readNeed(label, options));
      if (need > 0n) this.#needs.set(label, need);
      if (first === undefined || need < first) first = need;
    }
    return first;
  }

  /** 0, all WAL, when its marker does not tell: it may not have been written yet. */
  async #readNeed(label: string, options: SignalOption): Promise<bigint> {
    const key = begunKey(this.#repository.cluster, this.#life.identity, label);
    try {
      const { walFrom } = decodeBegunRecord(key, await this.#repository.store.get(key, options));
      return walFrom === undefined ? 0n : segmentNumberOfLsn(walFrom.lsn, this.#life.walSegmentSize);
    } catch (error) {
      if (isPgarkError(error, "not-found", "corrupt", "newer-format")) return 0n;
      throw error;
    }
  }
}
