import { describe, expect, test } from "vitest";
import { baseBackupCommand } from "../../src/postgres/replication.ts";

describe("the BASE_BACKUP command", () => {
  test("has 14's grammar for 14", () => {
    expect(baseBackupCommand(14, { label: "a'b", fast: true, maxRate: 10 * 1024 * 1024, verifyChecksums: false })).toBe(
      "BASE_BACKUP LABEL 'a''b' FAST NOWAIT MAX_RATE 10240 TABLESPACE_MAP NOVERIFY_CHECKSUMS " +
        "MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'",
    );
  });

  test("has a list of options from 15 on", () => {
    expect(baseBackupCommand(15, { label: "a", fast: false, estimateSize: true })).toBe(
      "BASE_BACKUP (LABEL 'a', PROGRESS, CHECKPOINT 'spread', WAIT false, TABLESPACE_MAP, VERIFY_CHECKSUMS true, " +
        "MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')",
    );
  });

  test.each([
    [1, 32],
    [2 ** 40, 1024 * 1024],
  ])("brings a rate of %d bytes within what PostgreSQL takes", (maxRate, kib) => {
    expect(baseBackupCommand(17, { label: "a", fast: true, maxRate })).toContain(`MAX_RATE ${kib},`);
  });
});
