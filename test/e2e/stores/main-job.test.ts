import { rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { formatTime } from "../../helpers/ledger-history.ts";
import { startLedger } from "../../helpers/ledger.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { realStores } from "./real-stores.ts";
import type { PruneAnswer } from "../helpers/prune-answer.ts";
import { createStoredCluster, digestsOf, type StoredCluster } from "./stored-cluster.ts";

/** Of two backups the newer one stays, with the WAL from there on. */
async function pruneToOne(json: StoredCluster["json"]): Promise<void> {
  const { lives } = await json<PruneAnswer>(["prune", "--keep-last", "1", "--confirm"]);
  expect(lives).toMatchObject([{ deleted: { notDeleted: { objects: 0 } } }]);
  expect(lives[0]?.deleted?.backups).toHaveLength(1);
  expect(lives[0]?.deleted?.segments).toBe(lives[0]?.frees.segments);
  const again = await json<PruneAnswer>(["prune", "--keep-last", "1"]);
  expect(again.lives).toMatchObject([{ frees: { objects: 0 } }]);
}

for (const { name, requirements, start } of realStores) {
  describeWith(requirements, `with an encrypted repository in ${name}`, () => {
    test("a destroyed cluster comes back as it was at a moment, from a local and from a remote backup", async () => {
      const { cluster, json, archiveAll, restore } = await createStoredCluster(await start());
      await cluster.start();
      await using ledger = await startLedger({ connect: () => cluster.connect(), churn: 2 });
      await ledger.untilCommitted(30);
      await json(["backup", "--fast"]);
      await ledger.untilCommitted(30);
      const first = await ledger.mark("after the local backup");
      await ledger.untilCommitted(30);
      await json(["backup", "--fast", "--remote"]);
      await ledger.untilCommitted(30);
      const second = await ledger.mark("after the remote backup");
      await ledger.untilCommitted(30);
      await ledger.stop();
      const end = await digestsOf(cluster);
      await archiveAll();
      await cluster.kill9();
      await rm(cluster.pgdata, { recursive: true });

      const targets = [
        [["--to", formatTime(first.time)], first.digests],
        [["--to", `name:${second.name}`], second.digests],
        [[], end],
      ] as const;
      for (const [index, [args, digests]] of targets.entries()) {
        if (args.length === 0) await pruneToOne(json);
        const restored = await restore(`restored-${index}`, ...args);
        expect(await digestsOf(restored), args.join(" ")).toEqual(digests);
        await restored.stop("immediate");
      }
    }, 300_000);
  });
}
