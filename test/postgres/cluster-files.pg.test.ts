import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseControlFile, readClusterIdentity, readControlFile } from "../../src/postgres/control-file.ts";
import { scanDataDirectory } from "../../src/postgres/data-directory-scan.ts";
import { findBadPages } from "../../src/postgres/page-checksum.ts";
import { parseWalFileName } from "../../src/postgres/wal-file-name.ts";
import { verifyWalSegment } from "../../src/postgres/wal-header.ts";
import { type Cluster, createCluster } from "../helpers/cluster.ts";
import { majors } from "../helpers/postgres-programs.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

describe.each(majors)("the files of a cluster of PostgreSQL %d", (major) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await createCluster({ major, directory: (await temporaryDirectory()).path, walSegmentSizeMb: 1 });
    await cluster.start();
    await cluster.query("CREATE TABLE t AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 5000) AS n");
    await cluster.query("CREATE INDEX ON t (n)");
    await cluster.query("CREATE UNLOGGED TABLE u AS SELECT 1 AS n");
    await cluster.query("CHECKPOINT");
    await cluster.stop();
  });

  test("name the identity that their server names", async () => {
    await using server = cluster;
    await server.start();
    const [row] = await server.query<Record<string, string>>(
      `SELECT system_identifier::text, catalog_version_no, checkpoint_lsn::text, redo_lsn::text, timeline_id,
              pg_control_version FROM pg_control_system(), pg_control_checkpoint()`,
    );
    const running = readControlFile(server.pgdata);
    expect(running.state).toBe("in production");
    expect(running.systemIdentifier).toBe(BigInt(row?.["system_identifier"] ?? 0));
    expect(running.controlVersion).toBe(row?.["pg_control_version"]);
    expect(running.catalogVersion).toBe(row?.["catalog_version_no"]);
    expect(`0/${running.redoLsn.toString(16).toUpperCase()}`).toBe(row?.["redo_lsn"]);
    expect(`0/${running.checkpointLsn.toString(16).toUpperCase()}`).toBe(row?.["checkpoint_lsn"]);
    await server.stop();
    expect(readControlFile(server.pgdata)).toMatchObject({
      state: "shut down",
      timeline: 1,
      dataChecksums: true,
      walSegmentSize: 1024 * 1024,
      blockSize: 8192,
      relationSegmentBlocks: 131072,
      minRecoveryTimeline: undefined,
    });
    expect(readClusterIdentity(server.pgdata)).toEqual({
      majorVersion: major,
      systemIdentifier: running.systemIdentifier,
    });
  });

  test("have WAL segments that are what their names say", async () => {
    const identity = readClusterIdentity(cluster.pgdata);
    const checkpoint = readControlFile(cluster.pgdata).checkpointLsn;
    let checked = 0;
    for (const file of await readdir(join(cluster.pgdata, "pg_wal"))) {
      const name = parseWalFileName(file);
      if (name?.kind !== "segment" || BigInt(name.segment) > checkpoint / 1048576n) continue;
      const bytes = readFileSync(join(cluster.pgdata, "pg_wal", file));
      expect(verifyWalSegment({ name, bytes, identity })).toMatchObject({ majorVersion: major, timeline: 1 });
      checked++;
    }
    expect(checked).toBeGreaterThan(0);
  });

  test("have page checksums that hold, until one bit is flipped", () => {
    let pages = 0;
    let relations = 0;
    for (const entry of scanDataDirectory(cluster.pgdata)) {
      if (entry.kind !== "file" || entry.relation === undefined) continue;
      const bytes = readFileSync(join(cluster.pgdata, entry.path));
      const firstBlock = entry.relation.segment * 131072;
      expect(findBadPages(bytes, bytes.length, firstBlock, 8192), entry.path).toEqual([]);
      relations++;
      pages += bytes.length / 8192;
      if (entry.relation.fork !== "main" || bytes.length < 3 * 8192 || relations % 10 !== 0) continue;
      // a place in the second page, another one in every file
      const at = 8192 + 24 + ((relations * 1031) % 8000);
      bytes[at] = (bytes[at] ?? 0) ^ 4;
      expect(findBadPages(bytes, bytes.length, firstBlock, 8192), entry.path).toEqual([1]);
    }
    expect(pages).toBeGreaterThan(1000);
  });

  test("have a control file whose every byte counts", () => {
    const bytes = readFileSync(join(cluster.pgdata, "global/pg_control"));
    const at = 100;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    expect(() => parseControlFile(bytes)).toThrow(/checksum of pg_control/);
  });
});
