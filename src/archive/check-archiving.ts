import { CheckFailure, check } from "../checks.ts";
import type { OnCheck } from "../checks.ts";
import type { Log } from "../log.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { Session } from "../postgres/connection.ts";
import { lsn, parseLsn } from "../postgres/lsn.ts";
import { readServerInfo } from "../postgres/server-info.ts";
import type { ServerInfo } from "../postgres/server-info.ts";
import type { Repository } from "../repository/repository.ts";
import { waitForWal } from "./wait-for-wal.ts";

export interface CheckArchivingOptions {
  readonly walTimeoutMs: number;
  readonly log: Log;
  readonly onCheck: OnCheck;
  readonly signal: AbortSignal;
}

/** Looks at the server's settings, then has it finish a WAL segment and waits to see it in the repository. */
export async function checkArchiving(
  repository: Repository,
  session: Session,
  options: CheckArchivingOptions,
): Promise<boolean> {
  const { onCheck, signal } = options;
  let server: ServerInfo | undefined;
  const known = await check("cluster", onCheck, async () => {
    server = await readServerInfo(session);
    await repository.identityRecord(server.identity, { signal });
    return `${formatIdentity(server.identity)} (PostgreSQL ${server.serverVersion}) is a life of "${repository.cluster}"`;
  });
  if (server === undefined || !known) return false;
  const settings = checkSettings(server, onCheck);
  if (!settings) return false;
  return check("archiving", onCheck, () => seeSegmentArrive(repository, session, server as ServerInfo, options));
}

/** Failures first: without these nothing is archived. Warnings are what a person should know. */
function checkSettings(server: ServerInfo, onCheck: OnCheck): boolean {
  const wrong: [string, string, string][] = [];
  if (server.walLevel === "minimal") wrong.push(["wal_level", "is minimal", "set wal_level = replica and restart"]);
  if (!server.inRecovery && server.archiveMode === "off") {
    wrong.push(["archive_mode", "is off", "set archive_mode = on and restart PostgreSQL"]);
  }
  if (!server.inRecovery && server.archiveCommand === "" && server.archiveLibrary === "") {
    wrong.push(["archive_command", "is empty", "set archive_command = 'pgark wal-push \"%p\"' and reload"]);
  }
  for (const [name, detail, hint] of wrong) onCheck({ name, status: "failed", detail, hint });
  if (wrong.length > 0) return false;
  onCheck({
    name: "settings",
    status: "ok",
    detail: `wal_level ${server.walLevel}, archive_mode ${server.archiveMode}`,
  });
  for (const [name, detail, hint] of doubts(server)) onCheck({ name, status: "warning", detail, hint });
  if (server.identity.majorVersion >= 17) {
    const detail = server.summarizeWal ? "is on" : "is off, and not needed yet: pgark takes full backups only";
    onCheck({ name: "summarize_wal", status: "ok", detail });
  }
  return true;
}

function doubts(server: ServerInfo): readonly [string, string, string][] {
  const found: [string, string, string][] = [];
  const { archiveCommand } = server;
  if (archiveCommand !== undefined && archiveCommand !== "" && !archiveCommand.includes("wal-push")) {
    found.push(["archive_command", `does not call pgark: ${archiveCommand}`, 'it should be: pgark wal-push "%p"']);
  }
  if (!server.inRecovery && server.archiveTimeoutSeconds === 0) {
    found.push([
      "archive_timeout",
      "is 0: on a quiet server the newest changes wait for a full segment",
      "set archive_timeout = 1min",
    ]);
  }
  if (!server.dataChecksums) {
    found.push([
      "data checksums",
      "are off: damaged pages cannot be noticed while backing up",
      "pg_checksums --enable, on a stopped server",
    ]);
  }
  if (!server.fullPageWrites) {
    found.push([
      "full_page_writes",
      "is off: a crash can tear pages; PostgreSQL turns it on while a backup is taken",
      "set full_page_writes = on",
    ]);
  }
  return found;
}

async function seeSegmentArrive(
  repository: Repository,
  session: Session,
  server: ServerInfo,
  options: CheckArchivingOptions,
): Promise<string> {
  if (server.inRecovery) return "the server is a standby; its WAL is archived by its primary: run check there";
  const began = performance.now();
  // A record of its own, or the switch of an idle server would have nothing to finish.
  await session.query("SELECT pg_create_restore_point('pgark check')");
  const [row] = await session.query("SELECT pg_switch_wal() AS lsn");
  const switched = row?.["lsn"];
  if (switched === undefined || switched === null) throw new CheckFailure("the server did not switch its WAL segment");
  const stopLsn = parseLsn(switched);
  await waitForWal(repository, session, {
    identity: server.identity,
    timeline: server.timeline,
    startLsn: lsn(stopLsn - 1n),
    stopLsn,
    walSegmentSize: server.walSegmentSize,
    timeoutMs: options.walTimeoutMs,
    inRecovery: false,
    purpose: { operation: "check archiving", why: "which the server was made to finish" },
    log: options.log,
    signal: options.signal,
  });
  return `a WAL segment was switched and arrived in the repository after ${((performance.now() - began) / 1000).toFixed(1)} s`;
}
