import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { PgarkError } from "../../src/errors.ts";
import { connect, showSetting } from "../../src/postgres/connection.ts";
import type { ConnectOptions, Session } from "../../src/postgres/connection.ts";
import { readServerInfo } from "../../src/postgres/server-info.ts";
import { readClusterIdentity, readControlFile } from "../../src/postgres/control-file.ts";
import { type Cluster, createCluster } from "../helpers/cluster.ts";
import { majors } from "../helpers/postgres-programs.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { rejectionOf } from "./errors.ts";

async function open(options: ConnectOptions): Promise<Session> {
  const session = await connect(options);
  onTestFinished(() => session.end());
  return session;
}

async function newCluster(major: (typeof majors)[number]): Promise<Cluster> {
  const cluster = await createCluster({ major, directory: (await temporaryDirectory()).path, tcp: true });
  await cluster.start();
  return cluster;
}

describe.each(majors)("a server of PostgreSQL %d", (major) => {
  let cluster: Cluster;
  let environment: Record<string, string>;
  beforeAll(async () => {
    cluster = await newCluster(major);
    environment = { PGHOST: cluster.socketDirectory, PGPORT: String(cluster.port), PGUSER: "postgres" };
  });

  test("is asked for what backups need to know", async () => {
    const session = await open({ environment });
    const info = await readServerInfo(session);
    const control = readControlFile(cluster.pgdata);
    expect(info).toMatchObject({
      identity: readClusterIdentity(cluster.pgdata),
      serverVersion: expect.stringMatching(new RegExp(`^${major}\\.\\d+$`)) as unknown,
      dataDirectory: cluster.pgdata,
      catalogVersion: control.catalogVersion,
      walSegmentSize: 16 * 1024 * 1024,
      blockSize: 8192,
      dataChecksums: true,
      inRecovery: false,
      timeline: 1,
      archiveMode: "off",
      walLevel: "replica",
      fullPageWrites: true,
      summarizeWal: false,
      isSuperuser: true,
      mayReplicate: true,
    });
  });

  test("does not end an idle session, whatever its settings say", async () => {
    await cluster.query("ALTER ROLE postgres SET statement_timeout = '1s'");
    const session = await open({ environment });
    const timeouts = [
      "statement_timeout",
      "lock_timeout",
      "idle_in_transaction_session_timeout",
      "idle_session_timeout",
    ];
    for (const name of timeouts) expect(await showSetting(session, name), name).toBe("0");
    expect(await showSetting(session, "application_name")).toBe("pgark");
  });

  test("gives sessions of the replication protocol", async () => {
    const session = await open({ environment, replication: true });
    await session.ping();
    const [row] = await session.query("IDENTIFY_SYSTEM");
    expect(row?.["systemid"]).toBe(String(readControlFile(cluster.pgdata).systemIdentifier));
  });
});

describe("a session", () => {
  let cluster: Cluster;
  let environment: Record<string, string>;
  beforeAll(async () => {
    cluster = await newCluster(18);
    environment = { PGHOST: cluster.socketDirectory, PGPORT: String(cluster.port), PGUSER: "postgres" };
    await cluster.query("CREATE ROLE secretive LOGIN PASSWORD 'it is secret'");
    await writeFile(
      join(cluster.pgdata, "pg_hba.conf"),
      "local all all trust\nhost all secretive 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n" +
        "local replication all trust\n",
    );
    await cluster.query("SELECT pg_reload_conf()");
  });

  test("runs statements in order and gives text", async () => {
    const session = await open({ environment });
    const rows = await Promise.all([
      session.query("SELECT pg_sleep(0.05)::text || 'first' AS v, NULL AS n"),
      session.query("SELECT $1::int8 * 2 AS v, $2::bool AS n", [2 ** 52, true]),
      session.ping(),
    ]);
    expect(rows.slice(0, 2)).toEqual([[{ v: "first", n: null }], [{ v: "9007199254740992", n: "t" }]]);
  });

  test("survives a failed statement, whose SQLSTATE and hint are told", async () => {
    const session = await open({ environment });
    const error = await rejectionOf(session.query("SELECT pg_no_such_function()"));
    expect(error).toMatchObject({ code: "postgres", facts: { sqlstate: "42883" } });
    expect(await session.query("SELECT 1 AS one")).toEqual([{ one: "1" }]);
  });

  test.each([
    ["while idle", false],
    ["within a statement", true],
  ])("that the server ends %s is lost, once and for good", async (_, busy) => {
    const session = await open({ environment });
    const lost = new Promise<PgarkError>((resolve) => session.onLost(resolve));
    const pid = (await session.query("SELECT pg_backend_pid() AS pid"))[0]?.["pid"];
    const statements = busy ? [rejectionOf(session.query("SELECT pg_sleep(60)"))] : [];
    await cluster.query("SELECT pg_terminate_backend($1)", [pid]);
    expect(await lost).toMatchObject({ code: "postgres", message: expect.stringMatching(/lost/) as unknown });
    expect((await Promise.all(statements)).map(({ code }) => code)).toEqual(busy ? ["postgres"] : []);
    expect((await rejectionOf(session.query("SELECT 1"))).message).toMatch(/lost/);
    const again = await new Promise<PgarkError>((resolve) => session.onLost(resolve));
    expect(again).toBe(await lost);
  });

  test("that is ended, in the middle of a statement too, is not lost", async () => {
    const session = await open({ environment });
    const lost: unknown[] = [];
    session.onLost((error) => lost.push(error));
    const statement = rejectionOf(session.query("SELECT pg_sleep(60)"));
    await session.end();
    await statement;
    expect(lost).toEqual([]);
    expect((await rejectionOf(session.query("SELECT 1"))).code).toBe("aborted");
  });

  test("answers for a password with that of the password file", async () => {
    const { path } = await temporaryDirectory();
    await writeFile(join(path, "pass"), `127.0.0.1:${cluster.port}:postgres:secretive:it is secret\n`);
    await chmod(join(path, "pass"), 0o600);
    const connectionString = `host=127.0.0.1 port=${cluster.port} user=secretive dbname=postgres`;
    const session = await open({ connectionString, environment: { HOME: path, PGPASSFILE: join(path, "pass") } });
    expect(await session.query("SELECT current_user AS u")).toEqual([{ u: "secretive" }]);
  });

  test("is refused without a password or with a wrong one, saying where one belongs", async () => {
    const { path } = await temporaryDirectory();
    const connectionString = `host=127.0.0.1 port=${cluster.port} user=secretive dbname=postgres`;
    const none = await rejectionOf(connect({ connectionString, environment: { HOME: path } }));
    expect(none).toMatchObject({ code: "postgres", hint: expect.stringContaining(".pgpass") as unknown });
    const wrong = await rejectionOf(connect({ connectionString, environment: { HOME: path, PGPASSWORD: "wr0ng" } }));
    expect(wrong).toMatchObject({ code: "postgres", facts: { sqlstate: "28P01" } });
    expect(`${wrong.message} ${wrong.hint}`).not.toContain("wr0ng");
  });

  test("goes to the first server of a list that takes it", async () => {
    const connectionString = `postgresql://postgres@127.0.0.1:1,127.0.0.1:${cluster.port}/postgres`;
    const session = await open({ connectionString, environment: {} });
    expect(session.target).toBe(`127.0.0.1:${cluster.port}`);
  });

  test("must be with the kind of server that is asked for", async () => {
    await open({ environment: { ...environment, PGTARGETSESSIONATTRS: "primary" } });
    const error = await rejectionOf(connect({ environment: { ...environment, PGTARGETSESSIONATTRS: "standby" } }));
    expect(error.message).toContain("target_session_attrs=standby");
  });

  test("comes about without TLS where it is only preferred, and not where it is required", async () => {
    const connectionString = `host=127.0.0.1 port=${cluster.port} user=postgres`;
    await open({ connectionString, environment: {} });
    const error = await rejectionOf(
      connect({ connectionString: `${connectionString} sslmode=require`, environment: {} }),
    );
    expect(error.message).toMatch(/SSL/);
  });

  test.each([
    ["nobody listens", "host=127.0.0.1 port=1", /is the server running/],
    ["there is no socket", "host=/nowhere/at/all", /PGHOST/],
  ])("fails with a hint when %s", async (_, connectionString, hint) => {
    const error = await rejectionOf(connect({ connectionString, environment: {} }));
    expect(error).toMatchObject({ code: "postgres", hint: expect.stringMatching(hint) as unknown });
  });

  test("is given up when it is stopped while connecting", async () => {
    // takes connections and never answers
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void mute.close());
    const address = mute.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const controller = new AbortController();
    mute.once("connection", (socket) => {
      socket.on("error", () => {});
      controller.abort();
    });
    const connectionString = `host=127.0.0.1 port=${port} user=postgres`;
    const error = await rejectionOf(connect({ connectionString, environment: {}, signal: controller.signal }));
    expect(error.code).toBe("aborted");
  });

  test("through a pooler is refused", async () => {
    // what a pooler does: it answers the handshake itself, with a process id of its own making
    const pooler = createServer((client) => {
      client.on("error", () => {});
      client.once("data", () => {
        const upstream = new pg.Client({ ...cluster, host: cluster.socketDirectory, user: "postgres" });
        client.on("close", () => void upstream.end());
        void upstream.connect().then(() => {
          client.write(handshake(424242));
          const server = upstream.connection.stream;
          server.removeAllListeners("data");
          server.on("data", (chunk) => client.write(chunk as Buffer));
          client.on("data", (chunk) => server.write(chunk));
        });
      });
    });
    await new Promise<void>((resolve) => pooler.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void pooler.close());
    const address = pooler.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const connectionString = `host=127.0.0.1 port=${port} user=postgres sslmode=disable`;
    const error = await rejectionOf(connect({ connectionString, environment: {} }));
    expect(error).toMatchObject({ code: "refused", message: expect.stringContaining("pooler") as unknown });
  });
});

/** AuthenticationOk, BackendKeyData, ReadyForQuery. */
function handshake(pid: number): Buffer {
  const bytes = Buffer.alloc(9 + 13 + 6);
  bytes.write("R", 0);
  bytes.writeInt32BE(8, 1);
  bytes.write("K", 9);
  bytes.writeInt32BE(12, 10);
  bytes.writeInt32BE(pid, 14);
  bytes.write("Z", 22);
  bytes.writeInt32BE(5, 23);
  bytes.write("I", 27);
  return bytes;
}
