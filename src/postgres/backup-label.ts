import { PgarkError } from "../errors.ts";
import { parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { parseTimelineId } from "./timeline.ts";
import type { TimelineId } from "./timeline.ts";

/** What PostgreSQL's `backup_label` file says (build_backup_content, src/backend/access/transam/xlogbackup.c). */
export interface BackupLabel {
  /** where replay begins */
  readonly startLsn: Lsn;
  readonly startTimeline: TimelineId;
  /** where the backup's checkpoint record lies */
  readonly checkpointLsn: Lsn;
  readonly from: "primary" | "standby";
  readonly label: string;
}

/** Reads a `backup_label`; throws `corrupt` when a line that recovery needs is missing. */
export function parseBackupLabel(text: string): BackupLabel {
  const field = (pattern: RegExp, name: string): string => {
    const value = pattern.exec(text)?.[1];
    if (value !== undefined) return value;
    throw new PgarkError("corrupt", `backup_label has no ${name}`, { operation: "read backup_label" });
  };
  return {
    startLsn: parseLsn(field(/^START WAL LOCATION: ([0-9A-F]{1,8}\/[0-9A-F]{1,8}) /m, "start location")),
    startTimeline: parseTimelineId(field(/^START TIMELINE: (\d{1,10})$/m, "start timeline")),
    checkpointLsn: parseLsn(field(/^CHECKPOINT LOCATION: ([0-9A-F]{1,8}\/[0-9A-F]{1,8})$/m, "checkpoint location")),
    // versions differ in the word: "master" until 13
    from: field(/^BACKUP FROM: (\w+)$/m, "origin") === "standby" ? "standby" : "primary",
    label: field(/^LABEL: (.*)$/m, "label"),
  };
}
