import type { BackupRecord } from "../repository/backup-record.ts";
import type { Survey } from "./survey.ts";

/** The order of backups by time. Names never decide it: a clock or a person may have made them anything. */
export class BackupAges {
  readonly #corrected = new Map<BackupRecord, number>();

  /**
   * A clock that was wrong may have given a backup an end in the future. Such a backup ended before now, and before those that
   * follow it in WAL, so it counts as old as the oldest of these.
   */
  constructor({ paths, restorable }: Survey, now: Date) {
    for (const { backups } of paths) {
      if (backups.every(({ stopTime }) => stopTime <= now)) continue;
      let bound = now.getTime();
      for (const backup of backups.toReversed()) {
        const stop = backup.stopTime.getTime();
        if (backup.stopTime > now) this.#corrected.set(backup, Math.min(bound, this.#corrected.get(backup) ?? bound));
        else if (restorable.has(backup)) bound = Math.min(bound, stop);
      }
    }
  }

  /** When the backup ended, in milliseconds since 1970; never after now for one that lies on a way to a timeline. */
  endOf(backup: BackupRecord): number {
    return this.#corrected.get(backup) ?? backup.stopTime.getTime();
  }

  /** Negative when `a` is the older one. */
  compare(a: BackupRecord, b: BackupRecord): number {
    const byTime = this.endOf(a) - this.endOf(b);
    if (byTime !== 0) return byTime;
    if (a.stopLsn !== b.stopLsn) return a.stopLsn < b.stopLsn ? -1 : 1;
    return a.label < b.label ? -1 : 1;
  }
}
