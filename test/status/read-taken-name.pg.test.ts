import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { PgarkError } from "../../src/errors.ts";
import { connect } from "../../src/postgres/connection.ts";
import type { Row, Session } from "../../src/postgres/connection.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { storeWal } from "../../src/repository/wal-object.ts";
import { readTakenName } from "../../src/status/read-taken-name.ts";
import { type Cluster, createCluster } from "../helpers/cluster.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { identity, moment, newRepository } from "../repository/backup-fixture.ts";

/** The server is asked for 4 MiB at a time: with these sizes for several pieces, and for a part of one. */
describe.each([
  { major: 14, walSegmentSizeMb: 16 },
  { major: 18, walSegmentSizeMb: 1 },
] as const)("a file that PostgreSQL $major cannot archive, of $walSegmentSizeMb MiB", ({ major, walSegmentSizeMb }) => {
  let cluster: Cluster;
  let name: string;
  let bytes: Buffer;
  beforeAll(async () => {
    cluster = await createCluster({ major, directory: (await temporaryDirectory()).path, walSegmentSizeMb });
    await cluster.start();
    await cluster.query("CREATE ROLE reader LOGIN");
    await cluster.query("GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint) TO reader");
    await cluster.query("CREATE ROLE watcher LOGIN");
    await cluster.query("CREATE TABLE t AS SELECT md5(n::text) FROM generate_series(1, 5000) AS n");
    const [row] = await cluster.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
    name = row?.name ?? "";
    bytes = await readFile(join(cluster.pgdata, "pg_wal", name));
  }, 60_000);
  afterAll(() => cluster.stop("immediate"));

  async function open(user = "postgres"): Promise<Session> {
    const connectionString = cluster.connectionString.replace("postgres@", `${user}@`);
    const session = await connect({ connectionString, environment: {} });
    onTestFinished(() => session.end());
    return session;
  }

  async function holding(plain: Uint8Array): Promise<Repository> {
    const repository = await newRepository();
    await storeWal(repository, { identity, name, plain, host: "db9", level: 1, now: moment });
    return repository;
  }

  /** Whether the repository's file is the server's. */
  async function isSame(
    repository: Repository,
    session: Session | undefined,
    pgdata?: string,
  ): Promise<boolean | undefined> {
    const taken = await readTakenName(repository, { identity, name, pgdata, session });
    expect(taken).toMatchObject({ name, writer: "db9", written: moment });
    return taken?.same;
  }

  test("is known for the repository's, or for another one, by the server and by its data directory", async () => {
    const same = await holding(bytes);
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    const other = await holding(changed);
    for (const [session, pgdata] of [
      [undefined, cluster.pgdata],
      [await open(), undefined],
      [await open("reader"), join(cluster.pgdata, "elsewhere")],
    ] as const) {
      expect(await isSame(same, session, pgdata)).toBe(true);
      expect(await isSame(other, session, pgdata)).toBe(false);
    }
  });

  test("is not compared where nobody may read it, or it is gone meanwhile", async () => {
    const repository = await holding(bytes);
    expect(await isSame(repository, undefined)).toBeUndefined();
    expect(await isSame(repository, await open("watcher"))).toBeUndefined();
    expect(await isSame(repository, recycling(await open()))).toBeUndefined();
  });

  test("that the repository does not have has no taker", async () => {
    const repository = await newRepository();
    const session = await open();
    expect(await readTakenName(repository, { identity, name, pgdata: undefined, session })).toBeUndefined();
  });
});

/** A session to a server that has recycled the file after its first piece. */
function recycling(session: Session): Session {
  let asked = 0;
  const query = async (...args: Parameters<Session["query"]>): Promise<readonly Row[]> => {
    if (asked++ > 0) throw new PgarkError("postgres", "could not open file", { operation: "query" });
    const [row] = await session.query(...args);
    // A whole piece, whatever was there.
    return [{ ...row, piece: Buffer.alloc(4 * 1024 * 1024).toString("base64") }];
  };
  return { ...session, query };
}
