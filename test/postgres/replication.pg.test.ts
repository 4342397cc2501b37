import { copyFile, mkdir, open as openFile, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import * as tar from "tar";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { connect } from "../../src/postgres/connection.ts";
import type { Session } from "../../src/postgres/connection.ts";
import { readControlFile } from "../../src/postgres/control-file.ts";
import { scanDataDirectory } from "../../src/postgres/data-directory-scan.ts";
import { parseLsn } from "../../src/postgres/lsn.ts";
import { identifySystem, streamBaseBackup } from "../../src/postgres/replication.ts";
import type { BaseBackupSink, ServerNotice } from "../../src/postgres/base-backup-sink.ts";
import { type Cluster, createCluster, openCluster } from "../helpers/cluster.ts";
import { majors } from "../helpers/postgres-programs.ts";
import { readServerInfo } from "../../src/postgres/server-info.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { rejectionOf } from "./errors.ts";

interface Archive {
  readonly oid: number | undefined;
  readonly chunks: Buffer[];
}

/** Keeps copies of everything, after a turn or two of the event loop when it is `slow`. */
class KeepingSink implements BaseBackupSink {
  readonly archives: Archive[] = [];
  readonly manifestChunks: Buffer[] = [];
  readonly slow: boolean;
  info: Parameters<BaseBackupSink["begin"]>[0] | undefined;
  calls = 0;
  inside = 0;
  overlaps = 0;
  constructor(slow: boolean) {
    this.slow = slow;
  }
  begin: BaseBackupSink["begin"] = (info) => this.#take(() => void (this.info = info));
  archive: BaseBackupSink["archive"] = ({ tablespaceOid }) =>
    this.#take(() => void this.archives.push({ oid: tablespaceOid, chunks: [] }));
  data: BaseBackupSink["data"] = (chunk) =>
    this.#take(() => void this.archives.at(-1)?.chunks.push(Buffer.from(chunk)));
  manifest: BaseBackupSink["manifest"] = (chunk) => this.#take(() => void this.manifestChunks.push(Buffer.from(chunk)));
  get manifestText(): string {
    return Buffer.concat(this.manifestChunks).toString();
  }
  #take(keep: () => void): void | Promise<void> {
    if (this.inside > 0) this.overlaps++;
    // every third call answers at once
    if (!this.slow || this.calls++ % 3 === 0) return keep();
    this.inside++;
    return turn()
      .then(turn)
      .then(() => {
        // late, when what the driver reuses too early would be overwritten
        keep();
        this.inside--;
      });
  }
}

async function open(cluster: Cluster): Promise<Session> {
  const session = await connect({ connectionString: cluster.connectionString, replication: true, environment: {} });
  onTestFinished(() => session.end());
  return session;
}

async function unpack(archive: Archive | undefined, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = `${directory}.tar`;
  await writeFile(file, Buffer.concat(archive?.chunks ?? []));
  await tar.extract({ file, cwd: directory, preserveOwner: false });
}

describe.each(majors)("a base backup of PostgreSQL %d over the replication protocol", (major) => {
  let cluster: Cluster;
  let directory: string;
  beforeAll(async () => {
    directory = (await temporaryDirectory()).path;
    cluster = await createCluster({ major, directory });
    await mkdir(join(directory, "space"));
    await cluster.start();
    await cluster.query(`CREATE TABLESPACE elsewhere LOCATION '${join(directory, "space")}'`);
    await cluster.query("CREATE TABLE t TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n");
    await cluster.query("CREATE TABLE d AS SELECT n FROM generate_series(1, 200000) AS n");
    await cluster.query("CREATE UNLOGGED TABLE u AS SELECT 1 AS n");
  });

  test("comes whole to a slow sink, and starts when its WAL is there", async () => {
    const session = await open(cluster);
    expect(await identifySystem(session)).toEqual({
      systemIdentifier: readControlFile(cluster.pgdata).systemIdentifier,
      timeline: 1,
    });
    const sink = new KeepingSink(true);
    const result = await streamBaseBackup(session, { label: "it's", fast: true, estimateSize: true }, sink);
    expect(result).toMatchObject({ startTimeline: 1, stopTimeline: 1, checksumFailures: false });
    expect(result.stopLsn).toBeGreaterThan(result.startLsn);
    expect(sink.overlaps).toBe(0);
    expect(sink.info).toMatchObject({ startLsn: result.startLsn, timeline: 1 });
    const oid = sink.info?.tablespaces[0]?.oid;
    expect(sink.info?.tablespaces).toMatchObject([{ location: join(directory, "space") }]);
    expect(sink.info?.size).toBeGreaterThan(20_000_000);
    expect(sink.archives.map((archive) => archive.oid)).toEqual([oid, undefined]);

    const manifest = JSON.parse(sink.manifestText) as { Files: unknown[]; "WAL-Ranges": { "Start-LSN": string }[] };
    expect(parseLsn(manifest["WAL-Ranges"][0]?.["Start-LSN"] ?? "")).toBe(result.startLsn);
    expect(manifest.Files.length).toBeGreaterThan(900);

    const pgdata = join(directory, "restored");
    await unpack(sink.archives[1], pgdata);
    await unpack(sink.archives[0], join(directory, "restored-space"));
    await symlink(join(directory, "restored-space"), join(pgdata, "pg_tblspc", String(oid)));
    await writeFile(join(pgdata, "tablespace_map"), `${oid} ${join(directory, "restored-space")}\n`);
    for (const name of await readdir(join(cluster.pgdata, "pg_wal"))) {
      if (/^[0-9A-F]{24}$/.test(name)) await copyWal(cluster, pgdata, name);
    }
    await using restored = await openCluster({ major }, pgdata);
    await restored.start();
    expect(await restored.query("SELECT count(*)::int, sum(n)::int FROM t")).toEqual([
      { count: 20000, sum: 200010000 },
    ]);
    expect(await restored.query("SELECT count(*)::int FROM d")).toEqual([{ count: 200000 }]);
    expect(await restored.query("SELECT count(*)::int FROM u")).toEqual([{ count: 0 }]);
  });

  test("has the files that a scan of the data directory finds", async () => {
    const session = await open(cluster);
    const sink = new KeepingSink(false);
    await streamBaseBackup(session, { label: "a", fast: true }, sink);
    expect(sink.info?.size).toBeUndefined();
    const inManifest = new Set(
      (JSON.parse(sink.manifestText) as { Files: { Path: string }[] }).Files.map(({ Path }) => Path),
    );
    for (const name of ["backup_label", "tablespace_map"]) inManifest.delete(name);
    const scanned = new Set(
      [...scanDataDirectory(cluster.pgdata)].filter(({ kind }) => kind === "file").map(({ path }) => path),
    );
    expect([...scanned].toSorted()).toEqual([...inManifest].toSorted());
  });

  test("leaves the session usable, and the next one is the same", async () => {
    const session = await open(cluster);
    const sizes: number[] = [];
    for (const label of ["a", "b"]) {
      const sink = new KeepingSink(false);
      await streamBaseBackup(session, { label, fast: true, maxRate: 2 ** 30 }, sink);
      sizes.push(sink.archives.length);
      await session.ping();
    }
    expect(sizes).toEqual([2, 2]);
  });

  test("is stopped by its signal, and the server ends it too", async () => {
    const session = await open(cluster);
    const controller = new AbortController();
    const sink = new KeepingSink(false);
    sink.data = () => controller.abort();
    const options = { label: "a", fast: true, signal: controller.signal };
    const error = await rejectionOf(streamBaseBackup(session, options, sink));
    expect(error.code).toBe("aborted");
    expect((await rejectionOf(session.ping())).code).toBe("postgres");
  });

  test("fails with what the sink throws", async () => {
    const session = await open(cluster);
    const sink = new KeepingSink(false);
    sink.data = () => Promise.reject(new Error("the disk is full"));
    await expect(streamBaseBackup(session, { label: "a", fast: true }, sink)).rejects.toThrow("the disk is full");
  });
});

describe.each(majors)("an in-place tablespace of PostgreSQL %d", (major) => {
  test("is scanned where it lies, and streamed, or refused where the server leaves it out", async () => {
    const directory = (await temporaryDirectory()).path;
    await using cluster = await createCluster({ major, directory, config: { allow_in_place_tablespaces: true } });
    await cluster.start();
    await cluster.query("CREATE TABLESPACE inside LOCATION ''");
    await cluster.query("CREATE TABLE t TABLESPACE inside AS SELECT 1 AS n");
    const [row] = await cluster.query<{ path: string; oid: number }>(
      "SELECT pg_relation_filepath('t') AS path, oid FROM pg_tablespace WHERE spcname = 'inside'",
    );
    const oid = row?.oid ?? 0;
    const paths = new Map([...scanDataDirectory(cluster.pgdata)].map((entry) => [entry.path, entry.kind]));
    expect(paths.get(`pg_tblspc/${oid}`)).toBe("directory");
    expect(paths.get(row?.path ?? "")).toBe("file");

    const session = await connect({ connectionString: cluster.connectionString, environment: {} });
    onTestFinished(() => session.end());
    expect((await readServerInfo(session)).tablespaces).toEqual([{ oid, location: undefined }]);

    const sink = new KeepingSink(false);
    const options = { label: "a", fast: true, inPlaceTablespaces: [oid] };
    const outcome = await streamBaseBackup(await open(cluster), options, sink).catch((error: unknown) => error);
    const included = sink.manifestText.includes(`"${row?.path}"`);
    expect({ outcome, included, archives: sink.archives.map((archive) => archive.oid) }).toMatchObject(
      major < 16
        ? { outcome: { code: "refused" }, included: false, archives: [] }
        : { outcome: { checksumFailures: false }, included: true, archives: [oid, undefined] },
    );
  });
});

describe.each([14, 18] as const)("a damaged page of PostgreSQL %d", (major) => {
  test("is warned of, named, and told at the end of a backup that is whole", async () => {
    const directory = (await temporaryDirectory()).path;
    await using cluster = await createCluster({ major, directory });
    await cluster.start();
    await cluster.query("CREATE TABLE t AS SELECT n FROM generate_series(1, 20000) AS n");
    const [row] = await cluster.query<{ path: string }>("SELECT pg_relation_filepath('t') AS path");
    await cluster.stop();
    await using file = await openFile(join(cluster.pgdata, row?.path ?? ""), "r+");
    await file.write(Buffer.from("damage"), 0, 6, 3 * 8192 + 4000);
    await cluster.start();
    const session = await open(cluster);
    const notices: ServerNotice[] = [];
    const sink = new KeepingSink(true);
    const onNotice = (notice: ServerNotice): void => void notices.push(notice);
    const result = await streamBaseBackup(session, { label: "a", fast: true, onNotice }, sink);
    expect(result.checksumFailures).toBe(true);
    expect(result.stopLsn).toBeGreaterThan(result.startLsn);
    expect(notices.some(({ severity, message }) => severity === "WARNING" && message.includes(row?.path ?? "?"))).toBe(
      true,
    );
    expect(JSON.parse(sink.manifestText)).toHaveProperty("Files");
    await session.ping();
    const unverified = await streamBaseBackup(
      session,
      { label: "b", fast: true, verifyChecksums: false },
      new KeepingSink(false),
    );
    expect(unverified.checksumFailures).toBe(false);
  });
});

async function copyWal(cluster: Cluster, pgdata: string, name: string): Promise<void> {
  await copyFile(join(cluster.pgdata, "pg_wal", name), join(pgdata, "pg_wal", name));
}
