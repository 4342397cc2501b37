import { describe, expect, test } from "vitest";
import { waitForWal } from "../../src/archive/wait-for-wal.ts";
import type { WaitForWalOptions } from "../../src/archive/wait-for-wal.ts";
import type { Log } from "../../src/log.ts";
import { silentLog } from "../../src/log.ts";
import type { Row, Session } from "../../src/postgres/connection.ts";
import { parseLsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { initRepository } from "../../src/repository/init-repository.ts";
import { walKey } from "../../src/repository/layout.ts";
import { openRepository } from "../../src/repository/repository.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import { rejectionOf } from "../postgres/errors.ts";

const identity = { majorVersion: 17, systemIdentifier: 7_500_000_000_000_000_000n };
const segment = (number: number): string => `0000000100000000${number.toString(16).toUpperCase().padStart(8, "0")}`;

async function emptyRepository(): Promise<Repository> {
  const now = new Date(0);
  const store = new MemoryStore(() => now);
  const keys = { recipients: [], hostRecipients: [] };
  await initRepository({ store, cluster: "main", identity, walSegmentSize: 16 << 20, now, ...keys });
  return openRepository({ store, cluster: "main", identities: [], recipients: [] });
}

async function archive(repository: Repository, number: number): Promise<void> {
  await repository.store.put(walKey("main", identity, segment(number), false), Buffer.from("wal"), { ifAbsent: true });
}

/** What pg_stat_archiver says, look by look; the last for ever. */
function sessionThatSays(answers: readonly (readonly Row[])[]): Session {
  let look = 0;
  const query = async (): Promise<readonly Row[]> => answers[Math.min(look++, answers.length - 1)] ?? [];
  return { query } as unknown as Session;
}

class KeepingLog implements Log {
  readonly lines: string[] = [];
  debug(): void {}
  info(message: string): void {
    this.lines.push(`info: ${message}`);
  }
  warn(message: string): void {
    this.lines.push(`warn: ${message}`);
  }
}

/** A backup from the middle of segment 2 to the very beginning of segment 5: it needs 2, 3 and 4. */
const wanted: Omit<WaitForWalOptions, "log" | "pause"> = {
  identity,
  timeline: timelineId(1),
  startLsn: parseLsn("0/2000028"),
  stopLsn: parseLsn("0/5000000"),
  walSegmentSize: 16 << 20,
  timeoutMs: 60_000,
  inRecovery: false,
  purpose: { operation: "take base backup", why: "which the backup needs" },
  signal: new AbortController().signal,
};

const failing = (number: number): readonly Row[] => [
  { last_failed_wal: segment(number), failed_at: `2026-11-20T10:00:0${number}Z` },
];

describe("a backup that waits for its WAL", () => {
  test("goes on when the last segment that it needs has arrived, and not before", async () => {
    const repository = await emptyRepository();
    const arriving = [4, 2, 3];
    let pauses = 0;
    const pause = async (): Promise<void> => {
      pauses++;
      const next = arriving.shift();
      if (next !== undefined) await archive(repository, next);
    };
    await waitForWal(repository, sessionThatSays([[]]), { ...wanted, log: silentLog, pause });
    expect(pauses).toBe(3);
  });

  test("says once when archiving begins to fail, at which segment, and when it works again", async () => {
    const repository = await emptyRepository();
    const log = new KeepingLog();
    let pauses = 0;
    const pause = async (): Promise<void> => {
      if (++pauses === 6) for (const number of [2, 3, 4]) await archive(repository, number);
    };
    const answers = [[], failing(2), failing(2), failing(3), [], []];
    await waitForWal(repository, sessionThatSays(answers), { ...wanted, log, pause });
    expect(log.lines.slice(1)).toEqual([
      expect.stringMatching(`^warn: archiving of WAL segment ${segment(2)} is failing, last at 2026-11-20T10:00:02Z`),
      expect.stringMatching(`^warn: archiving of WAL segment ${segment(3)} is failing, last at 2026-11-20T10:00:03Z`),
      "info: archiving works again",
    ]);
  });

  test("ends when time is up, naming the first missing segment and what the archiver failed at", async () => {
    const repository = await emptyRepository();
    await archive(repository, 2);
    const ended = { ...wanted, log: silentLog, timeoutMs: -1 };
    expect(await rejectionOf(waitForWal(repository, sessionThatSays([failing(3)]), ended))).toMatchObject({
      code: "refused",
      object: segment(3),
      hint: expect.stringContaining(`archiving of ${segment(3)} failed last at 2026-11-20T10:00:03Z`) as unknown,
    });
    const onStandby = waitForWal(repository, sessionThatSays([[]]), { ...ended, inRecovery: true });
    expect(await rejectionOf(onStandby)).toMatchObject({
      hint: expect.stringContaining("archived by its primary") as unknown,
    });
  });

  test("does not ask a standby's own archiver, which is not the one that archives", async () => {
    const repository = await emptyRepository();
    const session = { query: () => Promise.reject(new Error("asked")) } as unknown as Session;
    const pause = async (): Promise<void> => {
      for (const number of [2, 3, 4]) await archive(repository, number);
    };
    const waiting = waitForWal(repository, session, { ...wanted, inRecovery: true, log: silentLog, pause });
    await expect(waiting).resolves.toBeUndefined();
  });
});
