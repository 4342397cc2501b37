import { randomBytes } from "node:crypto";
import type { CheckResult } from "../../checks.ts";
import { required } from "../settings.ts";
import { isPgarkError } from "../../errors.ts";
import type { RepositoryMember } from "../../repository/members.ts";
import type { Repository } from "../../repository/repository.ts";
import { checkStore } from "../../storage/check-store.ts";
import type { CommandRun } from "../command.ts";
import { connectionString } from "../connection-string.ts";
import { EXIT } from "../exit-codes.ts";
import { withMembers } from "../with-repository.ts";

/** `pgark check`: tries everything, end to end. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io, paint } = run;
  const results: CheckResult[] = [];
  const json = settings.values.json;
  const onCheck = (result: CheckResult): void => {
    results.push(result);
    // One at a time, as they come: some take a while.
    if (!json) io.stdout.write(checkLine(result, run));
  };
  const ok = await withMembers(run, { keys: "none" }, async (members) => {
    let well = true;
    for (const member of members) {
      const repository = await openForCheck(member, members.length, onCheck);
      well = repository !== undefined && (await checkRepository(run, repository, onCheck)) && well;
    }
    return well;
  });
  const all = ok ? paint("green", "all is well") : paint("red", "something is wrong: see the lines above");
  await run.print({ json: () => ({ ok, checks: results }), text: () => `${all}\n` });
  return ok ? EXIT.ok : EXIT.failed;
}

/** One of several that cannot be opened does not keep the others from being checked. */
async function openForCheck(
  member: RepositoryMember,
  count: number,
  onCheck: (result: CheckResult) => void,
): Promise<Repository | undefined> {
  try {
    return await member.open();
  } catch (error) {
    if (count === 1 || !isPgarkError(error) || error.code === "aborted") throw error;
    onCheck({ name: "repository", status: "failed", detail: `${member.url}: ${error.message}`, hint: error.hint });
    return undefined;
  }
}

async function checkRepository(
  run: CommandRun,
  repository: Repository,
  onCheck: (result: CheckResult) => void,
): Promise<boolean> {
  const { settings, io } = run;
  onCheck({ name: "repository", status: "ok", detail: describe(repository) });
  const prefix = `${required(settings, "cluster")}/check-${randomBytes(6).toString("hex")}/`;
  const store = await checkStore(repository.store, { prefix, onCheck, signal: io.signal });
  const server = settings.values["store-only"] || (await checkServer(run, repository, onCheck));
  return store && server;
}

async function checkServer(run: CommandRun, repository: Repository, onCheck: (result: CheckResult) => void) {
  const { settings, io, log } = run;
  const { connect } = await import("../../postgres/connection.ts");
  const { checkArchiving } = await import("../../archive/check-archiving.ts");
  const { check } = await import("../../checks.ts");
  let session: Awaited<ReturnType<typeof connect>> | undefined;
  const connected = await check("server", onCheck, async () => {
    session = await connect({
      ...connectionString(settings.values.dbname),
      environment: io.env,
      signal: io.signal,
      log,
    });
    return `connected to ${session.target}`;
  });
  if (!connected || session === undefined) return false;
  try {
    const walTimeoutMs = settings.values["wal-timeout"];
    return await checkArchiving(repository, session, { walTimeoutMs, log, onCheck, signal: io.signal });
  } finally {
    await session.end();
  }
}

function describe(repository: Repository): string {
  const kind = repository.encrypted ? `encrypted to ${repository.recipients.length} recipient(s)` : "not encrypted";
  return `${repository.store.url} holds cluster "${repository.cluster}", ${kind}`;
}

function checkLine(result: CheckResult, run: CommandRun): string {
  const style = { ok: "green", warning: "yellow", failed: "red" } as const;
  const status = run.paint(style[result.status], result.status.padEnd(7));
  const hint = result.hint === undefined ? "" : `         to do: ${result.hint}\n`;
  return `${status}  ${result.name}: ${result.detail}\n${hint}`;
}
