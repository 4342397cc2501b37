import { formatLsn, lsn } from "../../../src/postgres/lsn.ts";
import {
  parseWalFileName,
  segmentNumber,
  segmentNumberOfLsn,
  segmentStart,
} from "../../../src/postgres/wal-file-name.ts";
import type { BackupRecord } from "../../../src/repository/backup-record.ts";
import { SpoiledArchive } from "./spoiled-archive.ts";
import type { LossAnswer } from "./verify-answer.ts";
import type { VerifyArchive } from "./verify-archive.ts";

type Stretch = readonly [timeline: 1 | 2, from: bigint, to: bigint];

/** Where in an archive things lie that faults are done to, and what is lost with them. */
export class VerifyPlaces {
  readonly older: BackupRecord;
  readonly newer: BackupRecord;
  readonly wal: readonly string[];
  /** on timeline 1: the first segment that the older backup needs */
  readonly beginning: string;
  /** two behind it, one after the other, and the last whole one before timeline 2 begins */
  readonly middle: string;
  readonly next: string;
  readonly end1: string;
  /** on timeline 2: the segment that it begins in, the one that the newer backup ends in, and the last one */
  readonly fork: string;
  readonly ofNewer: string;
  readonly end2: string;
  /** the largest packs */
  readonly packOfOlder: string;
  readonly packOfNewer: string;
  /** that with the control file and the label */
  readonly lastPackOfOlder: string;
  readonly #segmentSize: number;

  private constructor(archive: VerifyArchive, packs: readonly [older: string, newer: string, last: string]) {
    this.#segmentSize = archive.walSegmentSize;
    this.older = archive.older;
    this.newer = archive.newer;
    this.wal = archive.wal;
    const segments = archive.wal.filter((name) => /^[0-9A-F]{24}$/.test(name));
    const [first, second] = ["00000001", "00000002"].map((prefix) =>
      segments.filter((name) => name.startsWith(prefix)),
    );
    const holding = (names: readonly string[] | undefined, position: bigint): string | undefined =>
      names?.find((name) => this.#numberOf(name) === segmentNumberOfLsn(lsn(position), this.#segmentSize));
    this.beginning = known(holding(first, archive.older.startLsn));
    this.middle = known(first?.at(-3));
    this.next = known(first?.at(-2));
    this.end1 = known(first?.at(-1));
    this.fork = known(second?.[0]);
    this.ofNewer = known(holding(second, archive.newer.stopLsn));
    this.end2 = known(second?.at(-1));
    [this.packOfOlder, this.packOfNewer, this.lastPackOfOlder] = packs;
  }

  static async find(archive: VerifyArchive): Promise<VerifyPlaces> {
    const whole = SpoiledArchive.whole(archive);
    const last = (await whole.packs(archive.older)).at(-1);
    return new VerifyPlaces(archive, [await whole.pack(archive.older), await whole.pack(archive.newer), known(last)]);
  }

  startOf(name: string): bigint {
    return segmentStart(this.#numberOf(name), this.#segmentSize);
  }

  lastByteOf(name: string): bigint {
    return this.startOf(name) + BigInt(this.#segmentSize) - 1n;
  }

  loss(backups: readonly ("older" | "newer")[], moments: readonly Stretch[]): LossAnswer {
    return {
      backups: backups.map((which) => this[which].label),
      moments: moments.map(([timeline, from, to]) => ({
        timeline,
        from: { lsn: formatLsn(lsn(from)) },
        to: { lsn: formatLsn(lsn(to)) },
      })),
    };
  }

  nothing(): LossAnswer {
    return this.loss([], []);
  }

  /** No moment needs it: the older one and WAL lead to them all. */
  newerBackup(): LossAnswer {
    return this.loss(["newer"], []);
  }

  olderBackup(): LossAnswer {
    return this.loss(
      ["older"],
      [
        [1, this.older.stopLsn, this.lastByteOf(this.end1)],
        [2, this.older.stopLsn, this.newer.stopLsn - 1n],
      ],
    );
  }

  /** Replay from the older backup ends with a segment of timeline 1, on both timelines. */
  from(name: string): LossAnswer {
    return this.loss(
      [],
      [
        [1, this.startOf(name), this.lastByteOf(this.end1)],
        [2, this.startOf(name), this.newer.stopLsn - 1n],
      ],
    );
  }

  /** Nothing leads from timeline 1 to timeline 2. */
  wayTo2(): LossAnswer {
    return this.loss([], [[2, this.older.stopLsn, this.newer.stopLsn - 1n]]);
  }

  #numberOf(name: string): bigint {
    const parsed = parseWalFileName(name);
    return parsed?.kind === "segment" ? segmentNumber(parsed, this.#segmentSize) : -1n;
  }
}

function known(name: string | undefined): string {
  if (name === undefined) throw new Error("the archive is not laid out as the tests need it");
  return name;
}
