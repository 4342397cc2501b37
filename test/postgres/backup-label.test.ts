import { expect, test } from "vitest";
import { parseBackupLabel } from "../../src/postgres/backup-label.ts";
import { thrownBy } from "./errors.ts";

const label = [
  "START WAL LOCATION: 0/2000028 (file 000000030000000000000002)",
  "CHECKPOINT LOCATION: 0/2000060",
  "BACKUP METHOD: streamed",
  "BACKUP FROM: standby",
  "START TIME: 2026-11-20 07:00:00 UTC",
  "LABEL: 20261120T070000Z",
  "START TIMELINE: 3",
  "",
].join("\n");

test("a backup_label is read", () => {
  expect(parseBackupLabel(label)).toEqual({
    startLsn: 0x2000028n,
    startTimeline: 3,
    checkpointLsn: 0x2000060n,
    from: "standby",
    label: "20261120T070000Z",
  });
});

test.each(["START WAL", "CHECKPOINT", "BACKUP FROM", "LABEL", "START TIMELINE"])(
  "without its %s line it is corrupt",
  (line) => {
    const text = label
      .split("\n")
      .filter((one) => !one.startsWith(line))
      .join("\n");
    expect(thrownBy(() => parseBackupLabel(text)).code).toBe("corrupt");
  },
);
