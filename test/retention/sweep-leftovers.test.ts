import { expect, test } from "vitest";
import { PgarkError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import { openRepository } from "../../src/repository/repository.ts";
import { sweepLeftovers } from "../../src/retention/sweep-leftovers.ts";
import type { Leftover, Leftovers } from "../../src/storage/object-store.ts";
import { identity } from "../repository/backup-fixture.ts";
import { PrunableRepository } from "./prunable-repository.ts";

const now = new Date("2026-11-20T10:00:00Z");
const folder = "main/17-7400000000000000001/";
const day = 24 * 3600_000;

function daysOld(days: number, key: string): Leftover {
  return { key: `${folder}${key}`, id: key, modified: new Date(now.getTime() - days * day) };
}

async function sweep(leftovers: Leftovers) {
  const { store, leaseOptions } = await PrunableRepository.create();
  Object.assign(store, { leftovers });
  const repository = await openRepository({ store, cluster: "main", identities: [], recipients: [] });
  const warnings: string[] = [];
  const removed = await sweepLeftovers(repository, {
    identity,
    swept: ["20261119T000000Z"],
    running: new Set(["20261101T000000Z"]),
    storeNow: () => now,
    lease: { taken: leaseOptions.now(), check: async () => undefined, release: async () => undefined },
    log: { ...silentLog, warn: (message) => void warnings.push(message) },
  });
  return { removed, warnings };
}

test("unfinished uploads of swept backups go at once, others after a week, those of a running backup never", async () => {
  const gone: string[] = [];
  const asked: string[] = [];
  const uploads = [
    daysOld(1, "backups/20261119T000000Z/data/000000.tar.zst"),
    daysOld(1, "backups/20261118T000000Z/data/000000.tar.zst"),
    daysOld(8, "backups/20261112T000000Z/manifest.jsonl.zst"),
    daysOld(19, "backups/20261101T000000Z/manifest.jsonl.zst"),
    daysOld(6, "wal/00000001/00000000/000000010000000000000001.zst"),
    daysOld(8, "wal/00000001/00000000/000000010000000000000002.zst"),
  ];
  const { removed } = await sweep({
    async *list(prefix) {
      asked.push(prefix);
      yield* uploads;
    },
    remove: async ({ id }) => void gone.push(id),
  });
  expect(asked).toEqual([folder]);
  expect(gone).toEqual([uploads[0]?.id, uploads[2]?.id, uploads[5]?.id]);
  expect(removed).toBe(3);
});

test("who may not ask for them goes on without; who cannot find out does not", async () => {
  const failing = (code: "denied" | "unavailable"): Leftovers => ({
    list: () => ({
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new PgarkError(code, "AccessDenied", { operation: "list uploads" })),
      }),
    }),
    remove: async () => undefined,
  });
  expect(await sweep(failing("denied"))).toEqual({
    removed: 0,
    warnings: ["unfinished uploads were not looked for: AccessDenied"],
  });
  await expect(sweep(failing("unavailable"))).rejects.toMatchObject({ code: "unavailable" });
});
