import { access, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PgarkError } from "../../../src/errors.ts";
import { parseIdentity } from "../../../src/postgres/cluster-identity.ts";
import type { Repository } from "../../../src/repository/repository.ts";
import { loadVerifyRecords } from "../../../src/repository/verify-record.ts";
import { WorkerPool } from "../../../src/repository/worker/worker-pool.ts";
import { findWalHoles } from "../../../src/restore/wal-holes.ts";
import { verifyLife } from "../../../src/verify/verify-life.ts";
import type { LifeReport } from "../../../src/verify/verify-life.ts";
import { VerifyState } from "../../../src/verify/verify-state.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { SpoiledArchive } from "../helpers/spoiled-archive.ts";
import { makeVerifyArchive } from "../helpers/verify-archive.ts";
import type { VerifyArchive } from "../helpers/verify-archive.ts";
import { VerifyPlaces } from "../helpers/verify-places.ts";
import { backupFaults } from "./backup-faults.ts";
import { walFaults } from "./wal-faults.ts";

// Some seconds on a machine of its own, and many times that on a busy one.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 });

let archive: VerifyArchive;
let at: VerifyPlaces;
let directory: string;

beforeAll(async () => {
  directory = (await temporaryDirectory("pgark-verify")).path;
  archive = await makeVerifyArchive(directory);
  at = await VerifyPlaces.find(archive);
});

describe("pgark verify", () => {
  test("finds nothing wrong with an archive that is whole", async () => {
    const whole = await SpoiledArchive.copy(archive, join(directory, "whole"));
    const state = join(directory, "whole.json");
    for (const args of [[], ["--read", "--state-file", state], ["--sample", "40%"]]) {
      expect(await whole.verify(...args)).toMatchObject({
        exitCode: 0,
        result: "whole",
        faults: [],
        lost: at.nothing(),
      });
    }
    await expect(access(state)).rejects.toThrow("ENOENT");
  });

  test("ends with another code when it only could not find something out", async () => {
    const spoiled = await SpoiledArchive.copy(archive, join(directory, "unknown"));
    const history = spoiled.wal("00000002.history");
    await spoiled.remove(history);
    // Reading it fails like a disk does.
    await symlink("/proc/self/mem", join(spoiled.root, history));
    const answer = await spoiled.verify();
    expect(answer).toMatchObject({
      exitCode: 6,
      result: "unknown",
      faults: [],
      life: { unknown: [{ object: history }] },
    });
  });

  test.each([...backupFaults, ...walFaults].map((each, index) => ({ ...each, index })))(
    "finds $title ($depth)",
    async ({ index, depth, spoil, faults, lost }) => {
      const spoiled = await SpoiledArchive.copy(archive, join(directory, `case-${index}`));
      await spoil(spoiled, at);
      const listed = await spoiled.verify();
      // What only reading finds, lists do not.
      expect(listed.exitCode).toBe(depth === "read" ? 0 : 7);
      const answer = depth === "read" ? await spoiled.verify("--read", "--jobs", "2") : listed;
      const found = answer.faults.map(({ kind, object }) => `${kind} ${object}`);
      const expected = faults(spoiled, at).map(([kind, object]) => `${kind} ${object}`);
      expect(found.sort(), JSON.stringify(answer.faults)).toEqual(expected.sort());
      expect(answer).toMatchObject({ exitCode: 7, result: "faults", lost: lost(at) });
    },
  );
});

let pool: WorkerPool;
beforeAll(() => {
  pool = new WorkerPool(2);
});
afterAll(() => pool.close());

/** Reads everything, past the command line. */
async function readAll(repository: Repository, state: VerifyState, signal?: AbortSignal): Promise<LifeReport> {
  return verifyLife(repository, parseIdentity(archive.life), {
    read: { pool, sample: undefined, state },
    findHoles: async (catalog) => findWalHoles(catalog),
    onProgress: () => undefined,
    signal,
  });
}

function openState(file?: string): Promise<VerifyState> {
  return VerifyState.open(
    file,
    { repository: "r", cluster: "main", sample: undefined },
    { seed: "1", now: () => new Date() },
  );
}

describe("a run of verify", () => {
  test("leaves a record of what it found, of which the newest are kept", async () => {
    const spoiled = await SpoiledArchive.copy(archive, join(directory, "records"));
    await spoiled.remove(spoiled.wal(at.middle));
    for (let run = 0; run < 12; run++) await spoiled.verify();
    const read = await spoiled.verify("--read");
    const records = await loadVerifyRecords(await spoiled.open(), parseIdentity(archive.life), {});
    expect(records).toHaveLength(10);
    expect(records.at(-1)).toMatchObject({ depth: "read", result: "faults", faults: 1, backups: 2, packsRead: 4 });
    expect(records.at(-1)?.examples).toMatchObject([{ kind: "missing", object: spoiled.wal(at.middle) }]);
    expect(read.life.record).toContain("/verify/");
  });

  test("tells of a hole that somebody has acknowledged, and does not call it a fault", async () => {
    const spoiled = await SpoiledArchive.copy(archive, join(directory, "acknowledged"));
    await spoiled.remove(spoiled.wal(at.middle), spoiled.wal(at.next));
    expect((await spoiled.verify()).exitCode).toBe(7);
    expect((await spoiled.run(["acknowledge-hole", at.middle, at.next, "--reason", "known"])).exitCode).toBe(0);
    expect(await spoiled.verify()).toMatchObject({
      exitCode: 0,
      result: "whole",
      life: { acknowledged: [{ first: at.middle, last: at.next }] },
    });
  });

  test("needs no more than the host's own key for lists, and an owner's to read", async () => {
    const spoiled = SpoiledArchive.whole(archive);
    const hostKey = { PGARK_IDENTITY_FILE: undefined, PGARK_HOST_KEY_FILE: join(directory, "host-key.txt") };
    expect(await spoiled.run(["verify"], hostKey)).toMatchObject({ exitCode: 0 });
    for (const [args, env] of [
      [["--read"], hostKey],
      [[], { PGARK_IDENTITY_FILE: undefined }],
    ] as const) {
      const refused = await spoiled.run(["verify", ...args], env);
      expect(refused).toMatchObject({ exitCode: 8, stdout: "" });
      expect(refused.stderr).toContain("--identity-file");
    }
  });

  test("that was interrupted goes on where it was, and finds all the same", async () => {
    const spoiled = await SpoiledArchive.copy(archive, join(directory, "resumed"));
    await spoiled.resealWal(at.next, (plain) => Buffer.from(plain.fill(1, 100, 200)));
    const file = join(directory, "state.json");
    const reads: string[][] = [[], []];
    const stop = new AbortController();
    const open = (run: 0 | 1): Promise<Repository> =>
      spoiled.open(async (key) => {
        if (!/\/data\/|\/[0-9A-F]{24}\./.test(key)) return;
        reads[run]?.push(key);
        // The packs are done then, and most of the WAL.
        if (run === 0 && key === spoiled.wal(at.ofNewer)) stop.abort();
      });
    await expect(readAll(await open(0), await openState(file), stop.signal)).rejects.toMatchObject({ code: "aborted" });
    const state = await openState(file);
    expect(state.isResumed).toBe(true);
    const report = await readAll(await open(1), state);
    expect(report.findings.faults).toMatchObject([{ kind: "bad-record", object: spoiled.wal(at.next) }]);
    expect(reads[1]).toContain(spoiled.wal(at.end2));
    // Not what was done when it was stopped; how much was still under way depends on the machine.
    const walOf = (run: 0 | 1): readonly string[] => (reads[run] ?? []).filter((key) => key.includes("/wal/"));
    const again = walOf(1).filter((key) => walOf(0).includes(key));
    expect(again.length).toBeLessThan(walOf(0).length);
    expect(reads[1]?.filter((key) => key.includes("/data/") && !reads[0]?.includes(key))).toEqual([]);
    // The control file's pack is looked into again, for how large pages are.
    expect(reads[1]).not.toContain(spoiled.of(at.newer, at.packOfNewer));
    await state.remove();
    await expect(access(file)).rejects.toThrow("ENOENT");
  });

  test("does not call missing what is deleted while it runs, the record of its backup first", async () => {
    const spoiled = await SpoiledArchive.copy(archive, join(directory, "pruned"));
    let isPruned = false;
    const repository = await spoiled.open(async (key) => {
      if (isPruned || !key.includes("/data/")) return;
      isPruned = true;
      const packs = (await spoiled.packs(at.older)).map((name) => spoiled.of(at.older, name));
      await spoiled.remove(
        spoiled.of(at.older, "backup.json"),
        ...packs,
        spoiled.of(at.older, "manifest.jsonl.zst.age"),
      );
      await spoiled.remove(
        spoiled.wal(at.beginning),
        spoiled.wal(at.middle),
        spoiled.wal(at.next),
        spoiled.wal(at.end1),
      );
    });
    const { findings } = await readAll(repository, await openState());
    expect(isPruned).toBe(true);
    expect(findings).toMatchObject({ faults: [], faultCount: 0, unknownCount: 0 });
  });

  test("tells what it could not find out apart from damage, and stops asking a store that is gone", async () => {
    const spoiled = await SpoiledArchive.copy(archive, join(directory, "silent"));
    await spoiled.change(spoiled.wal(at.middle), (bytes) => bytes.subarray(0, bytes.length - 1));
    const silent = (keys: RegExp) => async (key: string) => {
      if (keys.test(key)) throw new PgarkError("unavailable", "no answer", { operation: "read object", object: key });
    };
    const one = await readAll(await spoiled.open(silent(new RegExp(at.next))), await openState());
    expect(one.findings.faults).toMatchObject([{ kind: "damaged", object: spoiled.wal(at.middle) }]);
    expect(one.findings.unknown).toEqual([{ object: spoiled.wal(at.next), problem: "no answer" }]);

    const gone = await readAll(await spoiled.open(silent(/\/[0-9A-F]{24}\./)), await openState());
    expect(gone.findings.faultCount).toBe(0);
    expect(gone.findings.unknownCount).toBeGreaterThan(3);
    expect(gone.packsRead).toBe(4);
  });
});
