import { takeBackup } from "../../archive/take-backup.ts";
import { plural } from "../../format.ts";
import { backupText } from "../backup-text.ts";
import type { CommandRun } from "../command.ts";
import { connectionString } from "../connection-string.ts";
import { configuredDataDirectory } from "../data-directory.ts";
import { EXIT } from "../exit-codes.ts";
import { defaultJobs } from "../jobs.ts";
import { backupJson } from "../json-shapes.ts";
import { section } from "../plan-text.ts";
import { withProgress } from "../with-progress.ts";
import { withRepository } from "../with-repository.ts";

/** More bad pages than this are counted, not listed; `--json` has them all. */
const MOST_PAGES_SHOWN = 20;

/** `pgark backup`: takes a base backup. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io, log, paint } = run;
  const { values } = settings;
  const taken = await withProgress(run, ({ onProgress }) =>
    withRepository(run, { keys: "all" }, (repository) =>
      takeBackup(repository, {
        connection: { ...connectionString(values.dbname), environment: io.env },
        remote: values.remote,
        pgdata: configuredDataDirectory(settings, io),
        jobs: values.jobs ?? defaultJobs(io.processors),
        level: values["compress-level"],
        fast: values.fast,
        ...(values.rate === undefined ? {} : { rate: values.rate }),
        walTimeoutMs: values["wal-timeout"],
        host: io.hostName,
        version: run.version,
        log,
        onProgress,
        now: io.now,
        signal: io.signal,
      }),
    ),
  );
  const { record, warnings, badPages } = taken;
  await run.print({
    json: () => ({ backup: backupJson(record), warnings, badPages }),
    text: () =>
      backupText(record, paint) +
      section("warnings", warnings, paint) +
      section("pages with wrong checksums", badPageLines(badPages), paint),
  });
  return badPages.length > 0 || record.badPages > 0 ? EXIT.badPages : EXIT.ok;
}

function badPageLines(badPages: readonly { readonly path: string; readonly block: number }[]): readonly string[] {
  const shown = badPages.slice(0, MOST_PAGES_SHOWN).map(({ path, block }) => `${path}, block ${block}`);
  const more = badPages.length - shown.length;
  return more === 0 ? shown : [...shown, `and ${plural(more, "more page", "more pages")}`];
}
