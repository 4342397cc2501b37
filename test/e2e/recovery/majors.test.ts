import { chmod, copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../helpers/processes.ts";
import { archiveCurrentSegment, expectDone } from "../helpers/archiving-cluster.ts";
import { insertRows, rowsOf, startRecoveryArchive, untilPromoted } from "../helpers/recovery-archive.ts";

// Several servers, one after the other, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 120_000 });

describe.each([14, 18] as const)("on PostgreSQL %i, as on 17", (major) => {
  test("a store that fails stops recovery, targets are met, and a standby replays a .partial", async () => {
    const archive = await startRecoveryArchive({ major });
    const source = archive.cluster;
    await source.query("create table t (id int)");
    await archive.backup();
    const after1 = await insertRows(source, 1);
    await archiveCurrentSegment(source);
    await insertRows(source, 2);
    const lost = await archiveCurrentSegment(source);
    await insertRows(source, 3);
    await archiveCurrentSegment(source);
    // Row 4 is in a segment that is not complete when its server dies: only a .partial of it comes into the archive.
    await insertRows(source, 4);
    const [row] = await source.query<{ name: string }>("select pg_walfile_name(pg_current_wal_lsn()) as name");
    const name = row?.name ?? "";
    await source.kill9();
    const partial = join(archive.directory, `${name}.partial`);
    await copyFile(join(source.pgdata, "pg_wal", name), partial);
    expectDone(await archive.run(["wal-push", partial], { cwd: source.pgdata }));

    await using standby = await archive.restore("standby", "--standby");
    await standby.configure({ wal_retrieve_retry_interval: "100ms" });
    await standby.start();
    await until(async () => (await rowsOf(standby)).length === 4, "the standby to replay the .partial");
    expect(await standby.log()).toContain(`served ${name}.partial for ${name}`);
    await rm(archive.walObject(`${name}.partial`));

    await using server = await archive.restore("recovery", "--action", "promote");
    await chmod(archive.walObject(lost), 0o000);
    await server.start().catch(() => undefined);
    await until(() => !server.isRunning(), "the server to stop");
    expect(await server.log()).toContain("exit code 200");
    await chmod(archive.walObject(lost), 0o600);
    await server.start();
    await untilPromoted(server);
    expect(await rowsOf(server)).toEqual([1, 2, 3]);

    await using earlier = await archive.restore("earlier", "--to", `lsn:${after1}`, "--action", "promote");
    await earlier.start();
    await untilPromoted(earlier);
    expect(await rowsOf(earlier)).toEqual([1]);
  });
});
