import { PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { readClusterIdentity, readControlFile } from "../postgres/control-file.ts";
import type { CommandRun } from "./command.ts";
import { connectionString } from "./connection-string.ts";
import { configuredDataDirectory } from "./data-directory.ts";

/** What init records of a cluster. */
export interface ServerFacts {
  readonly identity: ClusterIdentity;
  /** bytes */
  readonly walSegmentSize: number;
}

/**
 * From the data directory when one is named (the server may be down), else from the server. A flag that names the one goes
 * before an environment or a file that names the other: it says which cluster is meant.
 */
export async function readServerFacts(run: CommandRun): Promise<ServerFacts> {
  const { settings, io } = run;
  const pgdata = configuredDataDirectory(settings, io);
  const isFlag = (name: "pgdata" | "dbname"): boolean => settings.origins.get(name) === "flag";
  const connectionIsNamed = settings.origins.has("dbname") && !(isFlag("pgdata") && !isFlag("dbname"));
  if (pgdata !== undefined && !connectionIsNamed) {
    return { identity: readClusterIdentity(pgdata), walSegmentSize: readControlFile(pgdata).walSegmentSize };
  }
  return askServer(run);
}

async function askServer(run: CommandRun): Promise<ServerFacts> {
  const { connect } = await import("../postgres/connection.ts");
  const { settings, io, log } = run;
  const session = await connect({
    ...connectionString(settings.values.dbname),
    environment: io.env,
    signal: io.signal,
    log,
  });
  try {
    const [row] = await session.query(
      "SELECT system_identifier::text AS system_identifier, current_setting('server_version_num') AS version, " +
        "(SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS wal_segment_size FROM pg_control_system()",
    );
    const [identifier, version, size] = [row?.["system_identifier"], row?.["version"], row?.["wal_segment_size"]];
    if (!identifier || !version || !size) {
      throw new PgarkError("postgres", "the server does not say which cluster it is", {
        operation: "identify cluster",
        object: session.target,
        hint: "the user needs EXECUTE on pg_control_system(); or name the data directory with --pgdata",
      });
    }
    return {
      // PostgreSQL keeps the identifier as an unsigned number and shows it as a signed one.
      identity: {
        majorVersion: Math.floor(Number(version) / 10_000),
        systemIdentifier: BigInt.asUintN(64, BigInt(identifier)),
      },
      walSegmentSize: Number(size),
    };
  } finally {
    await session.end();
  }
}
