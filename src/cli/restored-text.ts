import { formatBytes, plural } from "../format.ts";
import type { Paint } from "./colours.ts";
import { section } from "./plan-text.ts";
import type { Settings } from "./settings.ts";
import { shellQuote } from "./shell-quote.ts";

export interface Restored {
  readonly pgdata: string;
  readonly files: number;
  readonly bytes: number;
  /** the lines written into postgresql.auto.conf */
  readonly settings: readonly string[];
  readonly archiving: boolean;
}

/** The end of a restore: what was done, what was set, and how to go on. */
export function restoredText(restored: Restored, settings: Settings, paint: Paint): string {
  const { pgdata } = restored;
  return (
    `\n${paint("green", "restored")} ${formatBytes(restored.bytes)} in ${plural(restored.files, "file")} to ${pgdata}\n` +
    section("set in postgresql.auto.conf", restored.settings, paint) +
    section("how to go on", nextSteps(restored, settings), paint)
  );
}

function nextSteps({ pgdata, archiving }: Restored, { values }: Settings): readonly string[] {
  const start = [
    `start the server: pg_ctl -D ${shellQuote(pgdata)} start`,
    "it replays WAL from the repository; its log says when the target is reached",
    ...(values.action === "pause" && !values.standby && values.to !== "latest"
      ? ["it pauses there: look at the data, then SELECT pg_wal_replay_resume() opens it for writing"]
      : []),
  ];
  if (archiving) return [...start, "it archives on into the history it came from: see that no other server does"];
  return [
    ...start,
    "archiving is off, so that two clusters do not write one history. To give this one an archive of its own:",
    `  pgark init --cluster <another name> --pgdata ${shellQuote(pgdata)}`,
    // In SQL, for what was set that way before (archive_mode by this restore) goes before postgresql.conf.
    "  ALTER SYSTEM SET archive_command = '<as init prints it>'",
    "  ALTER SYSTEM SET archive_mode = on",
    "  restart the server, and take a backup under the new name",
    "if this is the real cluster come back, restore it with --archiving on instead",
  ];
}
