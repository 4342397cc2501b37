/**
 * `npm run demo`: pgark's main job, start to end, on a real PostgreSQL 17 and an encrypted repository in a temporary directory.
 * A bank is written by several connections, archived and backed up under way; somebody deletes its transfers; the data
 * directory is destroyed; and the cluster comes back to the moment before, each row held against a ledger kept outside.
 * Exits with 1 when a single row differs.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { disposeEverything } from "../test/helpers/cleanup.ts";
import { type Cluster, createCluster, openCluster } from "../test/helpers/cluster.ts";
import { until } from "../test/helpers/processes.ts";
import { temporaryDirectory } from "../test/helpers/temp.ts";
import { Bank, type Book, differences, digest, readBook } from "./bank.ts";
import { output, pgark, say, shell, step } from "./narrator.ts";

const stop = new AbortController();
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
let signalCode: number | undefined;
for (const [signal, code] of Object.entries(exitCodes)) {
  process.once(signal, () => {
    console.error(`\n${signal}: stopping the servers and removing what was made`);
    signalCode ??= code;
    stop.abort();
  });
}

const code = await demo().catch((error: unknown) => {
  if (signalCode !== undefined) return signalCode;
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof Error && error.cause !== undefined) console.error(error.cause);
  return 1;
});
await disposeEverything();
// Whatever else may still hang on a server that is gone.
process.exit(code);

async function demo(): Promise<number> {
  const begun = performance.now();
  const { path: directory } = await temporaryDirectory("pgark-demo");
  // What the database host knows. The identity, which decrypts, is not among it.
  const env = {
    PGARK_REPOSITORY: `file://${join(directory, "repository")}`,
    PGARK_CLUSTER: "bank",
    PGARK_HOST_KEY_FILE: join(directory, "host-key"),
  };
  const run = { env, signal: stop.signal };
  const identityFile = join(directory, "identity");
  say(`Everything happens below ${directory}, and is removed at the end.`);

  step("A PostgreSQL, and an encrypted repository for it");
  const source = await createSource(directory);
  for (const [name, value] of Object.entries(env)) shell(`export ${name}=${value}`);
  const init = ["init", "--pgdata", source.pgdata, "--encrypt", "--identity-file", identityFile];
  const printed = await pgark(init, run);
  await archiveAsTold(source, printed);

  step("Load: a small bank, written by four connections at once");
  const bank = new Bank(() => source.connect());
  await bank.open();
  say("Each transfer that the server confirms is also entered in a ledger outside of the database, in memory.");
  await work(bank, 4000);
  say(`${count(bank.committed)} transfers committed so far; the load goes on.`);

  step("A base backup, under load");
  const before = bank.committed;
  await pgark(["backup", "--fast", "--dbname", source.connectionString], run);
  say(`${count(bank.committed - before)} transfers were committed while it ran.`);
  await work(bank, 3000);
  await pgark(["list"], run);

  step("The accident");
  const accident = await deleteAllTransfers(source, bank);
  say("Nobody notices yet, and the bank goes on: rows that come after the accident must not come back either.");
  await work(bank, 2000);
  await untilArchived(source, accident.lsn);

  step("It gets worse: the server is killed, and its data directory is gone");
  bank.close();
  await source.kill9();
  shell(`rm -rf ${source.pgdata}`);
  await rm(source.pgdata, { recursive: true });
  await bank.untilClosed();

  step("What would a restore do?");
  say("The identity comes from where it was kept safe: decrypting takes it, archiving and backing up did not.");
  const target = ["--to", accident.justBefore, "--identity-file", identityFile];
  await pgark(["plan", ...target], run);

  step("Back to the moment before the accident");
  const restoring = performance.now();
  const how = ["--action", "promote", "--archiving", "on"];
  await pgark(["restore", source.pgdata, ...target, ...how], { ...run, from: "restored" });
  shell(`pg_ctl -D ${source.pgdata} start`);
  const restored = await openCluster({ major: 17 }, source.pgdata);
  await restored.start();
  await until(() => isOpen(restored), "the end of recovery", 60, stop.signal);
  say(`It replayed its WAL from the repository and is open, ${seconds(restoring)} after the restore began.`);
  if (process.env["PGARK_DEMO_TAMPER"] === "1") await tamper(restored);

  step("Is every row there?");
  const differing = await compare(restored, accident.book);
  if (differing > 0) {
    console.error(`\nNOT RESTORED: ${count(differing)} ${differing === 1 ? "row differs" : "rows differ"}.`);
    return 1;
  }
  await restored.stop();
  say(`\nAll of it took ${seconds(begun)}.`);
  return 0;
}

async function createSource(directory: string): Promise<Cluster> {
  shell("initdb --data-checksums");
  return createCluster({ major: 17, directory, name: "pgdata" });
}

/** Puts the lines that init printed into postgresql.conf. */
async function archiveAsTold(source: Cluster, printed: string): Promise<void> {
  const lines = [...printed.matchAll(/^\s*(wal_level|archive_\w+) = (.*)$/gm)];
  const settings = lines.map(([, name = "", value = ""]) => [
    name,
    value.replace(/^'(.*)'$/, "$1").replaceAll("''", "'"),
  ]);
  if (settings.length !== 4) throw new Error("init did not print the four lines for postgresql.conf");
  say("The four lines go into postgresql.conf as printed, but with archive_timeout = 5s, for a demo in a hurry.");
  await source.configure({ ...Object.fromEntries(settings), archive_timeout: "5s" });
  shell(`pg_ctl -D ${source.pgdata} start`);
  await source.start();
}

/** Waits until the bank has done `transfers` more. */
async function work(bank: Bank, transfers: number): Promise<void> {
  const goal = bank.committed + transfers;
  const done = (): boolean => {
    bank.throwIfBroken();
    return bank.committed >= goal;
  };
  await until(done, `${transfers} transfers`, 60, stop.signal);
}

interface Accident {
  /** for --to */
  readonly justBefore: string;
  /** where the WAL of the accident ends */
  readonly lsn: string;
  /** the ledger as it was then */
  readonly book: Book;
}

async function deleteAllTransfers(source: Cluster, bank: Bank): Promise<Accident> {
  const client = await source.connect();
  const clock = async (): Promise<string> => {
    const { rows } = await client.query<{ now: string }>("select clock_timestamp()::text as now");
    return rows[0]?.now ?? "";
  };
  try {
    return await bank.standStill(async (book) => {
      const justBefore = await clock();
      await delay(5);
      shell("psql -c 'DELETE FROM transfer'   # somebody forgot the WHERE");
      const { rowCount } = await client.query("delete from transfer");
      output(`DELETE ${rowCount}`);
      const { rows } = await client.query<{ lsn: string }>("select pg_current_wal_flush_lsn()::text as lsn");
      say(`The moment just before it was ${justBefore}. The ledger then had ${count(book.size)} rows.`);
      return { justBefore, lsn: rows[0]?.lsn ?? "", book };
    });
  } finally {
    await client.end();
  }
}

/** The WAL up to `lsn` must have left the host before the host dies; archive_timeout sees to it. */
async function untilArchived(source: Cluster, lsn: string): Promise<void> {
  const [row] = await source.query<{ segment: string }>("select pg_walfile_name($1::pg_lsn) as segment", [lsn]);
  const segment = row?.segment ?? "";
  const archiver = async (): Promise<{ last: string; archived: string; failed: string }> => {
    const sql =
      "select last_archived_wal as last, archived_count as archived, failed_count as failed from pg_stat_archiver";
    const [state] = await source.query<{ last: string; archived: string; failed: string }>(sql);
    return state ?? { last: "", archived: "", failed: "" };
  };
  await until(async () => (await archiver()).last.slice(0, 24) >= segment, "the WAL to be archived", 60, stop.signal);
  const { archived, failed } = await archiver();
  say(`The WAL of the accident is archived. pg_stat_archiver: ${archived} segments archived, ${failed} failures.`);
}

async function isOpen(cluster: Cluster): Promise<boolean> {
  const [row] = await cluster.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
  return row?.recovering === false;
}

/** For the test that holds this demo to its word. */
async function tamper(cluster: Cluster): Promise<void> {
  say("PGARK_DEMO_TAMPER is set: one row is altered now, behind the ledger's back.");
  await cluster.query("update transfer set amount = amount + 1 where id = (select min(id) from transfer)");
}

/** Holds every row against the ledger; says what it finds and returns how many differ. */
async function compare(restored: Cluster, expected: Book): Promise<number> {
  const client = await restored.connect();
  try {
    const found = await readBook(client);
    output(`the ledger:   ${count(expected.size)} rows, SHA-256 ${digest(expected)}`);
    output(`the database: ${count(found.size)} rows, SHA-256 ${digest(found)}`);
    const lines = differences(expected, found);
    for (const line of lines.slice(0, 20)) console.error(`   ${line}`);
    if (lines.length > 20) console.error(`   ... and ${count(lines.length - 20)} more`);
    if (lines.length === 0) {
      say("Every row is there, as it was, and none besides: neither the accident nor what came after it.");
    }
    return lines.length;
  } finally {
    await client.end();
  }
}

function count(number: number): string {
  return number.toLocaleString("en");
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
