import { describe, expect, test, vi } from "vitest";
import type { Cluster } from "../../helpers/cluster.ts";
import { majors } from "../../helpers/postgres-programs.ts";
import { startLedger } from "../../helpers/ledger.ts";
import { createServedCluster } from "../helpers/served-cluster.ts";

// Several servers start and replay in each test, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

async function ledgerRows(cluster: Cluster): Promise<unknown> {
  return cluster.query(
    "select count(*)::int as rows, md5(string_agg(md5(t::text), '' order by id)) as md5 from ledger t",
  );
}

describe.each(majors)("a cluster of PostgreSQL %d", (major) => {
  test.each([["local"], ["remote"]])(
    "is archived, backed up (%s) under writes, restored with all rows, and backed up again under its own name",
    async (method) => {
      const flags = method === "remote" ? ["--remote"] : [];
      await using source = await createServedCluster({ major });
      await source.cluster.start();
      await using ledger = await startLedger({ connect: () => source.cluster.connect(), churnTableMb: 1 });
      await ledger.untilCommitted(50);
      const { backup, warnings } = await source.backup(...flags);
      expect(backup).toMatchObject({ method, source: "primary", timeline: 1, badPages: 0 });
      expect(warnings).toEqual([]);
      await ledger.untilCommitted(50);
      await ledger.stop();
      const rows = await ledgerRows(source.cluster);
      await source.archiveAll();
      await source.cluster.stop();

      await using restored = await source.restoreAndOpen("restored");
      expect(await ledgerRows(restored)).toEqual(rows);

      const again = source.as(restored, "again");
      await again.init();
      await restored.query("alter system reset archive_mode");
      await restored.restart();
      const second = await again.backup(...flags);
      expect(second.backup).toMatchObject({ method, timeline: 2 });
      await using twice = await again.restoreAndOpen("twice");
      expect(await ledgerRows(twice)).toEqual(rows);
    },
  );
});
